use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:set { package_max_length = 1000 }
server:on("request", function(req, res) res:finish("http " .. req:body() .. "\n") end)

local lines = server:listen("127.0.0.1", $PORT_2, "tcp")
lines:set { protocol = "eof", package_eof = "\n" }
lines:on("receive", function(server, fd, reactor_id, data) server:send(fd, "line " .. data) end)

local lengths = server:listen("127.0.0.1", $PORT_3, "tcp")
lengths:set { protocol = "length", package_length_type = "n" }
lengths:on("receive", function(server, fd, reactor_id, data) server:send(fd, "length " .. #data .. "\n") end)
server:start()
LUA

matrix 'each port speaks its protocol and has its handlers' => sub ($mode) {
	my $server = start_server(app => $app);

	is($server->get('/')->body, "http \n", 'http');
	is($server->client(port => $server->port(2))->send("one\n")->recv(9), "line one\n", 'eof');
	is($server->client(port => $server->port(3))->send("\0\3abc")->recv(9), "length 5\n", 'length');
	is(scalar @{ $server->ready->{ports} }, 3, 'the ready line names them');
	my @listed = sort map { $_->{port} // 0 } @{ $server->status->{listeners} };
	is_deeply(\@listed, [ sort map { $server->port($_) } 1 .. 3 ], 'and so does status');

	my @open = map { $server->client(port => $server->port(2))->send("x\n") } 1 .. 2;
	$_->recv(7) for @open;
	is((grep { $_->{port} == $server->port(2) } @{ $server->status->{listeners} })[0]{connections}, 2, 'with the connections of each');
};

matrix 'a port inherits what it does not set itself' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client(port => $server->port(2));

	$client->send('x' x 1001);
	is($client->recv_all, '', 'package_max_length of the server holds for the second port');
};

matrix 'port 0 lets the kernel choose, and the ready line tells' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".http("127.0.0.1", 0)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA
	my $port = $server->ready->{ports}[0]{port};

	cmp_ok($port, '>', 0, 'told');
	is($server->client(port => $port)->get('/')->body, "ok\n", 'served');
};

matrix 'IPv6' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".http("127.0.0.1", $PORT)
local port = server:listen("::1", $PORT_2, "tcp6")
server:on("request", function(req, res) res:finish(req.remote_addr .. "\n") end)
server:start()
LUA
	require IO::Socket::IP;
	my $sock = IO::Socket::IP->new(PeerHost => '::1', PeerPort => $server->port(2));
	if (!$sock) {
		Test::More->builder->skip("this machine has no IPv6: $!");
		return;
	}
	print $sock "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	like(join('', <$sock>), qr/\r\n\r\n::1\n\z/, 'served');
};

done_testing();
