use lib 't/lib';
use Test::Luaserv;

my $echo = <<'LUA';
local server = require "luaserv".server("$ROOT/app.sock", 0, nil, "unix")
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA

matrix 'a unix socket is served, and gone after the stop' => sub ($mode) {
	my $server = start_server(app => $echo);
	my $path = $server->root . '/app.sock';
	my $client = $server->client(path => $path);

	is($client->send('hello')->recv(5), 'hello', 'echo');
	ok(-S $path, 'the socket is there');
	is($server->stop, 0, 'the server stops');
	ok(!-e $path, 'and takes its socket away');
};

matrix 'HTTP over a unix socket' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local port = server:listen("$ROOT/app.sock", 0, "unix")
server:on("request", function(req, res) res:finish(req.path .. "\n") end)
server:start()
LUA
	is($server->client(path => $server->root . '/app.sock')->get('/unix')->body, "/unix\n", 'by the socket');
	is($server->get('/tcp')->body, "/tcp\n", 'by the port');
};

matrix 'a socket that a dead server left behind does not hinder' => sub ($mode) {
	my $server = start_server(app => $echo);
	my $path = $server->root . '/app.sock';

	$server->expect_crash(qr/./)->kill_all;
	ok(-S $path, 'left behind');
	ok($server->start(app => $echo), 'the next server starts') or diag($server->complaint);
	is($server->client(path => $path)->send('hello')->recv(5), 'hello', 'and serves');
};

done_testing();
