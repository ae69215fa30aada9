# luaserv.client on unix sockets, of streams and of datagrams.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Upstream;
use Socket qw(AF_UNIX SOCK_DGRAM pack_sockaddr_un);

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
_G.luaserv = luaserv
function _G.show(...)
	local parts = { ... }
	for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
	return table.concat(parts, " ")
end
server:on("request", function(req, res) res:finish(tostring(assert(loadstring(req:body(), "@posted"))())) end)
local echo = server:listen("$ROOT/echo.sock")
echo:set { protocol = "eof", package_eof = "\n" }
echo:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA

sub run ($server, $lua) { return $server->client(timeout => 20)->post('/', $server->expand($lua))->body }

matrix 'streams' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_connection => 1000 });
	my $path = $server->root . '/echo.sock';

	is(run($server, <<'LUA'), "true 6 hello\n unix:$path 0", 'an echo, by either spelling of the path') for 'unix:$ROOT/echo.sock', '$ROOT/echo.sock';
local c = luaserv.client("unix"):set { protocol = "eof", package_eof = "\n" }
local connected = c:connect("$ROOT/echo.sock")
local sent, got, peer = c:send("hello\n"), c:recv(), c:getpeername()
return show(connected, sent, got, peer.host, peer.port)
LUA
	is(run($server, 'return show(luaserv.client("unix"):connect("$ROOT/none.sock"))'),
		'nil cannot connect to unix:' . $server->root . '/none.sock: No such file or directory 2', 'no such path');
	like(run($server, 'return show(luaserv.client("unix"):connect("none.sock"))'),
		qr{^nil cannot connect to none.sock: the path of a unix socket begins with / or unix:/ 505$}, 'a relative one');
	is(run($server, <<'LUA'), '300', 'more at once than a backlog holds');
local group, right = luaserv.wait_group(300), 0
for i = 1, 300 do
	luaserv.go(function()
		local c = luaserv.client("unix")
		assert(c:connect("$ROOT/echo.sock"))
		c:send(i .. "\n")
		if c:recv() == i .. "\n" then right = right + 1 end
		group:done()
	end)
end
group:wait(20)
return right
LUA
};

matrix 'datagrams' => sub ($mode) {
	my $server = start_server(app => $app);
	my $path = $server->root . '/dgram.sock';

	socket my $sock, AF_UNIX, SOCK_DGRAM, 0 or die "socket: $!\n";
	bind $sock, pack_sockaddr_un($path) or die "bind: $!\n";
	my $client = $server->client;
	$client->send($client->request_text('POST', '/', body => $server->expand(<<'LUA')));
local c = luaserv.client("unix_dgram")
local connected = c:connect("$ROOT/dgram.sock")
local sent = c:send("one")
local first, host, port = c:recvfrom()
local other = luaserv.client("unix_dgram")
other:sendto("$ROOT/dgram.sock", nil, "two")
return show(connected, sent, first, host, port, other:recv())
LUA
	alarm seconds(10);
	my $from = recv $sock, my $got, 100, 0;
	is($got, 'one', 'connected');
	send $sock, 'answer', 0, $from;
	$from = recv $sock, $got, 100, 0;
	is($got, 'two', 'without a connection');
	send $sock, 'second', 0, $from;
	alarm 0;
	is($client->response->body, "true 3 answer unix:$path 0 second", 'both were answered');
};

done_testing();
