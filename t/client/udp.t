# luaserv.client over UDP.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

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
server:listen("127.0.0.1", $PORT_2, "udp")
server:listen("::1", $PORT_3, "udp6")
server:on("packet", function(server, data, client)
	server:sendto(client.address, client.port, data:upper(), client.server_socket)
end)
server:start()
LUA

sub run ($server, $lua) { return $server->client(timeout => 20)->post('/', $server->expand($lua))->body }

matrix 'questions and answers' => sub ($mode) {
	my $server = start_server(app => $app);
	my $port = $server->port(2);

	is(run($server, <<'LUA'), 'true 5 HELLO', 'connected');
local c = luaserv.client("udp")
return show(c:connect("localhost", $PORT_2), c:send("hello"), c:recv())
LUA
	is(run($server, <<'LUA'), "5 HELLO 127.0.0.1 $port false", 'not connected: the sender is told');
local c = luaserv.client("udp")
local sent = c:sendto("127.0.0.1", $PORT_2, "hello")
local data, host, port = c:recvfrom(5)
return show(sent, data, host, port, c:is_connected())
LUA
	is(run($server, <<'LUA'), 'A B C', 'each recv one datagram, also with framing set');
local c = luaserv.client("udp"):set { protocol = "eof", package_eof = "\n" }
c:connect("127.0.0.1", $PORT_2)
local got = {}
for i, text in ipairs { "a", "b", "c" } do c:send(text) got[i] = c:recv() end
return table.concat(got, " ")
LUA
	is(run($server, <<'LUA'), '60000', 'a large one');
local c = luaserv.client("udp")
c:connect("127.0.0.1", $PORT_2)
c:send(("x"):rep(60000))
return #c:recv()
LUA
	is(run($server, <<'LUA'), '5 HELLO ::1', 'IPv6') if -e '/proc/net/if_inet6';
local c = luaserv.client("udp6")
local sent = c:sendto("::1", $PORT_3, "hello")
return show(sent, (c:recv(5)), "::1")
LUA
};

matrix 'what goes wrong' => sub ($mode) {
	my $server = start_server(app => $app);

	is(run($server, 'local c = luaserv.client("udp") c:connect("127.0.0.1", 9) c:send("x") return show(c:recv(5))'),
		'nil Connection refused 111', 'nobody is there');
	is(run($server, 'local c = luaserv.client("udp") c:connect("127.0.0.1", $PORT_2) return show(c:recv(0.01))'),
		'nil timeout 110', 'no answer');
	is(run($server, 'local c = luaserv.client("udp") c:connect("127.0.0.1", $PORT_2) return show(c:send(("x"):rep(70000)))'),
		'nil Message too long 90', 'too long');
	like(run($server, 'return show(luaserv.client("udp"):sendto("localhost", 9, "x"))'),
		qr/^nil client:sendto: "localhost" is not an address .* 505$/, 'sendto takes addresses');
	is(run($server, 'return show(luaserv.client("udp"):recvfrom())'), 'nil the client is not connected 5001', 'nothing was sent yet');
	is(run($server, 'return show(luaserv.client("tcp"):sendto("127.0.0.1", 9, "x"))'),
		'nil client:sendto is for datagrams, not for tcp 509', 'of a stream');
	is(run($server, 'return show(luaserv.client("tcp"):recvfrom())'), 'nil client:recvfrom is for datagrams, not for tcp 509', 'recvfrom too');
	is(run($server, 'return show(luaserv.client("udp"):sendfile("/etc/passwd"))'),
		'nil client:sendfile is for streams, not for udp 509', 'files');
};

done_testing();
