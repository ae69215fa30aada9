# The PROXY protocol: the app sees the load balancer's client, and nobody else may pretend to be one.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", proxy_protocol = true, proxy_protocol_trusted = "127.0.0.1,unix:" }
server:on("connect", function(server, fd)
	local info = server:get_client_info(fd)
	note("connect", info.remote_ip, info.remote_port)
end)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:on("close", function(server, fd) note("close") end)
local web = server:listen("127.0.0.1", $PORT_2, "tcp")
web:set { protocol = "http" }
web:on("request", function(req, res) res:finish(req.remote_addr .. " " .. req.remote_port .. "\n") end)
local unix = server:listen("$ROOT/app.sock", 0, "unix")
unix:on("receive", function(server, fd, reactor_id, data) server:send(fd, server:get_client_info(fd).remote_ip .. "\n") end)
server:start()
LUA

my $v4 = "PROXY TCP4 192.0.2.7 198.51.100.2 4711 80\r\n";
my $v6 = "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24" . "\x20\x01\x0d\xb8" . "\0" x 11 . "\x09" . "\0" x 16 . "\x12\x34\0\x50";
my $local = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
my $request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

matrix 'version 1, with the first message in one packet' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });

	is($server->client->send("${v4}hello\n")->recv_until("\n"), "hello\n", 'served');
	is_deeply([ ($server->wait_notes(1))[0] ], ['connect 192.0.2.7 4711'], 'connect tells the client, once');
	is(scalar(grep { /connect/ } $server->wait_notes(2)), 1, 'once');
};

matrix 'version 2, byte by byte' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $client = $server->client;

	for my $byte (split //, "${v6}hello\n") {
		$client->send($byte);
		$server->status if $byte eq "\n" or $byte eq "\x21"; # lets it arrive alone
	}
	is($client->recv_until("\n"), "hello\n", 'served');
	is_deeply([ $server->wait_notes(1) ], ['connect 2001:db8::9 4660'], 'the client');
};

matrix 'LOCAL and UNKNOWN keep the balancer\'s address' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my @clients = map { $server->client } 1 .. 2;

	is($clients[0]->send("${local}x\n")->recv_until("\n"), "x\n", 'LOCAL');
	is($clients[1]->send("PROXY UNKNOWN\r\nx\n")->recv_until("\n"), "x\n", 'UNKNOWN');
	is_deeply([ sort $server->wait_notes(2) ], [ sort map { 'connect 127.0.0.1 ' . $_->local_port } @clients ], 'its own');
};

matrix 'HTTP: every request of the connection has the client\'s address, and so has the access log' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, access_log => '$ROOT/access.log' });
	my $client = $server->client(port => $server->port(2));

	$client->send($v4 . $request);
	is($client->response->body, "192.0.2.7 4711\n", 'the first');
	is($client->get('/')->body, "192.0.2.7 4711\n", 'the second');
	$server->stop;
	like(slurp($server->root . "/access.log"), qr/\A192\.0\.2\.7 .*\n192\.0\.2\.7 /, 'the log');
};

matrix 'a unix socket' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $client = $server->client(path => $server->root . '/app.sock');

	is($client->send("${v4}x\n")->recv_until("\n"), "192.0.2.7\n", 'the client');
};

matrix 'what is no header ends the connection, and no event comes of it' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });

	is($server->client->send("hello\n")->recv_all, '', 'no header');
	is($server->client(port => $server->port(2))->send($request)->recv_all, '', 'HTTP');
	is($server->client->send("PROXY TCP4 1.2.3.4\r\n")->recv_all, '', 'half of one');
	my $early = $server->client;
	$early->send('PROXY TC');
	$early->close;
	ok($server->wait_status(sub ($s) { $s->{connections} == 0 }), 'none is left');
	is_deeply([ $server->notes ], [], 'no event');
	is($server->status->{proxy_refused}, 3, 'counted');
	ok($server->wait_log(qr/port \d+: a connection of 127\.0\.0\.1 is closed: it does not begin with a header of the PROXY protocol/), 'the log says so');
};

matrix 'before its header a connection is nobody\'s' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 1 });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", proxy_protocol = true, proxy_protocol_trusted = "127.0.0.1" }
server:on("receive", function(server, fd, reactor_id, data)
	local others = 0
	for one in server:connections() do if one ~= fd then others = others + 1 end end
	-- The one that came right before: the id's slot and generation are below this one's.
	for back = 1, 3 do
		local one = fd - back * 2 ^ 24
		server:resume(one) server:send(one, "early\n") server:pause(one) server:resume(one)
	end
	server:send(fd, others .. " " .. data)
end)
server:start()
LUA
	my $early = $server->client;
	my $late = $server->client;

	$early->send(substr $v4, 0, 12);
	is($late->send("${v4}x\n")->recv_until("\n"), "0 x\n", 'it is in no list');
	ok($early->quiet, 'and cannot be sent to');
	is($early->send(substr($v4, 12) . "y\n")->recv_until("\n"), "1 y\n", 'its header is still whole');
};

matrix 'nobody else is believed' => sub ($mode) {
	my $server = start_server(app => $app =~ s/127\.0\.0\.1,unix:/10.0.0.0\/8/r, settings => { worker_num => 1 });

	is($server->client->send("${v4}hello\n")->recv_all, '', 'closed');
	is_deeply([ $server->notes ], [], 'no event');
	ok($server->wait_log(qr/it is not in proxy_protocol_trusted/), 'the log says so');
};

matrix 'a header that does not come in time' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, proxy_protocol_timeout => '100ms' });
	my $client = $server->client;

	$client->send('PROXY TCP4');
	is($client->recv_all, '', 'closed');
	ok($server->wait_log(qr/no header of the PROXY protocol came within proxy_protocol_timeout/), 'the log says so');
	my $late = $server->client;
	is($late->send("${v4}x\n")->recv_until("\n"), "x\n", 'one that does is served');
	ok($late->quiet(0.3), 'for longer than that');
	is($late->send("y\n")->recv_until("\n"), "y\n", 'and on');
};

matrix 'limits count clients, not the balancer' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, max_connection_per_address => 1 });
	my @held = map { my $c = $server->client; $c->send("PROXY TCP4 192.0.2.$_ 198.51.100.2 1 80\r\nx\n")->recv_until("\n"); $c } 1 .. 3;

	is(scalar @held, 3, 'three clients through one balancer');
	is($server->client->send("PROXY TCP4 192.0.2.2 198.51.100.2 2 80\r\nx\n")->recv_all, '', 'one of them has one too many');
	$held[1]->close;
	ok(wait_for(sub { eval { $server->client->send("PROXY TCP4 192.0.2.2 198.51.100.2 3 80\r\nx\n")->recv_until("\n") eq "x\n" } }), 'and may come again when it has left');
};

matrix 'a worker that starts hears of none whose header has not come', process => 'in base mode they end with their worker', sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $client = $server->client;
	my ($pid) = $server->worker_pids;

	$client->send(substr $v4, 0, 10);
	$server->expect_crash;
	kill KILL => $pid;
	ok($server->wait_respawn($pid), 'replaced');
	is_deeply([ $server->notes ], [], 'no event');
	is($client->send(substr($v4, 10) . "x\n")->recv_until("\n"), "x\n", 'it is served when it comes');
	is(($server->wait_notes(1))[0], 'connect 192.0.2.7 4711', 'and then it connects');
};

done_testing();
