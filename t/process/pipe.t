# process:write and process:read: what others write to a user process, whole and in order, bounded, beside messages.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", message_queue_size = "64k", send_timeout = "200ms" }
local pipe
local asks = {}
function asks.table() return tostring(pipe:write({ from = "worker", n = { 1, 2 } })) end
function asks.large() return tostring(pipe:write(("x"):rep(3000000))) end
function asks.many(n)
	for i = 1, tonumber(n) do
		local ok = pipe:write(i)
		while not ok do ok = pipe:write(i) end
	end
	return "written"
end
function asks.message() return tostring(server:send_message("a message", pipe.id)) end
function asks.fill()
	for i = 1, 10000 do
		local ok, message, code = pipe:write(("f"):rep(100))
		if not ok then return message .. " " .. code .. " " .. tostring(i > 100 and i < 3000) end
	end
	return "took all"
end
function asks.wrong()
	return table.concat({ select(2, pcall(pipe.read, pipe)), select(2, pcall(pipe.write, pipe, print)),
		select(2, pcall(pipe.write, luaserv.process(print), "x")) }, "; ")
end
server:on("receive", function(server, fd, reactor_id, line)
	local verb, rest = line:match("(%a+) ?(%S*)")
	luaserv.go(function() server:send(fd, asks[verb](rest):gsub("\n", " ") .. "\n") end)
end)
server:on("pipe_message", function(server, src, data)
	note("handler", src, data)
end)
pipe = luaserv.process(function(process, server)
	note("none", table.concat({ select(2, process:read(0)) }, " "))
	note("late", table.concat({ select(2, process:read(0.01)) }, " "))
	note("own", (select(2, pcall(process.write, process, "x"))))
	if "$ROOT" ~= "" and io.open("$ROOT/lazy") then
		while not io.open("$ROOT/go") do luaserv.sleep(0.01) end
	end
	while true do
		local data, from = process:read()
		if type(data) == "table" then note("read", data.from, data.n[2], from)
		elseif type(data) == "string" and #data > 1000 then note("read", #data)
		elseif type(data) == "number" then note(data)
		end
	end
end)
server:add_process(pipe)
server:start()
LUA

matrix 'what is written is read' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;

	is(join('; ', $server->wait_notes(3)), 'none timeout 110; late timeout 110; own process:write is for the others; this process answers by server:send_message',
		'reading waits as long as it is told');
	is($client->send("table\n")->recv_until("\n"), "true\n", 'a table');
	is(($server->wait_notes(4))[3], 'read worker 2 0', 'with who wrote it');
	is($client->send("large\n")->recv_until("\n"), "true\n", 'a large one');
	is(($server->wait_notes(5))[4], 'read 3000000', 'whole');
	is($client->send("message\n")->recv_until("\n"), "true\n", 'a message');
	is(($server->wait_notes(6))[5], 'handler 0 a message', 'has its handler');
	is($client->send("many 3000\n")->recv_until("\n"), "written\n", 'many');
	is(join(' ', ($server->wait_notes(3006))[ 6 .. 3005 ]), join(' ', 1 .. 3000), 'all, in order');
	like($client->send("wrong\n")->recv_until("\n"),
		qr/read cannot be called in a worker.*; .*data is a function.*; .*it was not given to server:add_process/, 'wrong use');
};

matrix 'a process that does not read holds its writers back' => sub ($mode) {
	my $server = start_server(app => $app, files => { lazy => '' });
	my $client = $server->client;

	$server->wait_notes(3);
	is($client->send("fill\n")->recv_until("\n"), "timeout 110 true\n", 'the writer waits for send_timeout, then it is told');
	is($client->send("table\n")->recv_until("\n"), "nil\n", 'so is the next');
	spew($server->root . '/go');
	is($client->send("many 100\n")->recv_until("\n"), "written\n", 'once it reads there is room');
	is(join(' ', ($server->wait_notes(103))[ 3 .. 102 ]), join(' ', 1 .. 100), 'and what comes then is read');
};
done_testing();
