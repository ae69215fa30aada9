# luaserv.client speaks the protocols that ports speak, also those written in Lua.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Upstream;

my $counted = <<'LUA';
local protocol = {}
function protocol.input(buffer, seen)
	local digits = buffer:match "^(%d+):"
	if digits == "666" then error("input is broken") end
	if digits == "667" then return -1 end
	if digits then return #digits + 1 + tonumber(digits) end
	if #buffer > 10 or buffer:find "%D" then return nil, "a length was expected" end
	return 0
end
function protocol.decode(bytes)
	local text = bytes:gsub("^%d+:", "")
	if text == "bad" then return nil, "a bad word" end
	return text
end
function protocol.encode(value) return value ~= "no" and #value .. ":" .. value or nil end
return protocol
LUA

# Receives until there is no message; notes each.
my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	local port, send = req:body():match("^(%d+) ?(.*)$")
	local client = luaserv.client("tcp"):set { protocol = "lib.counted", package_max_length = 100000 }
	assert(client:connect("127.0.0.1", tonumber(port)))
	if send ~= "" then note("sent", tostring(select(2, pcall(client.send, client, send)))) end
	note("connected")
	local all = {}
	repeat
		local fine, message, text, code = pcall(client.recv, client, 10)
		if not fine then all[#all + 1] = "raised: " .. message:gsub("^[^:]*:%d+: ", "") message = "" end
		all[#all + 1] = message and (#message > 100 and #message or message) or fine and text .. " " .. code
	until not message or message == ""
	res:finish(table.concat(all, "|"))
end)
server:start()
LUA

sub receive ($server, @pieces) {
	my $upstream = Test::Luaserv::Upstream->listen;
	my $client = $server->client(timeout => 20);

	$client->send($client->request_text('POST', '/', body => $upstream->port));
	my $peer = $upstream->accept;
	$peer->send($_) for @pieces;
	$peer->close;
	return $client->response->body;
}

matrix 'a module of the app' => sub ($mode) {
	my $server = start_server(app => $app, files => { 'lib/counted.lua' => $counted });
	my $long = 'y' x 90_000;

	is(receive($server, '3:one3:two'), 'one|two|', 'two that came together');
	is(receive($server, split //, '3:one3:two'), 'one|two|', 'byte by byte');
	is(receive($server, "90000:$long", '1:x'), '90000|x|', 'a long one in many reads, and one behind it');
	is(receive($server, '5:abc'), 'the connection was closed by the peer within a message 1002', 'cut');
	is(receive($server, '1:ahello'), 'a|protocol lib.counted refuses what came: a length was expected 1204', 'refused by input');
	is(receive($server, '3:bad1:a'), 'protocol lib.counted refuses what came: a bad word 1204', 'refused by decode');
	is(receive($server, '200000:'),
		'protocol lib.counted refuses what came: a message is longer than package_max_length (100000) 1201', 'too long');
	is(receive($server, '666:'), 'raised: input is broken|', 'input raises');
	is(receive($server, '667:'), 'raised: input of protocol lib.counted returned -1, which is no length|', 'no length');
};

matrix 'send takes values' => sub ($mode) {
	my $server = start_server(app => $app, files => { 'lib/counted.lua' => $counted });
	my $upstream = Test::Luaserv::Upstream->listen;
	my $client = $server->client(timeout => 20);

	$client->send($client->request_text('POST', '/', body => $upstream->port . ' hello'));
	my $peer = $upstream->accept;
	is($peer->recv(7), '5:hello', 'encoded');
	$peer->close;
	$client->response;
	$client->send($client->request_text('POST', '/', body => $upstream->port . ' no'));
	$peer = $upstream->accept;
	$peer->close;
	$client->response;
	like(($server->wait_notes(3))[2], qr/encode of protocol lib\.counted returned a nil, not a string/, 'encode fails');
};

# Both ends are ours.
my $both = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:listen("127.0.0.1", $PORT_2):set { protocol = require "luaserv.protocol.json_line" }
local json = require "luaserv.protocol.json_line"
server:on("receive", function(server, fd, reactor_id, data)
	if type(data) == "table" then
		server:send(fd, { got = data, from = "server" })
		return
	end
	local client = luaserv.client():set { protocol = json, timeout = 5 }
	assert(client:connect("127.0.0.1", $PORT_2))
	assert(client:send { n = 1, list = { "a", "b" } })
	local first = assert(client:recv())
	client:close()
	assert(client:connect("127.0.0.1", $PORT_2))
	assert(client:send { n = 2 })
	local second = assert(client:recv())
	local none, message, code = client:recv(0.01)
	server:send(fd, table.concat({ first.got.n, first.got.list[2], first.from, second.got.n, tostring(none), message, code }, " ") .. "\n")
end)
server:start()
LUA

matrix 'the same module at both ends, over two connections' => sub ($mode) {
	my $server = start_server(app => $both);

	is($server->client->send("go\n")->recv_until("\n"), "1 b server 2 nil timeout 110\n", 'values there and back');
};
done_testing();
