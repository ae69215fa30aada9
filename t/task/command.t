# server:command: a question to another process, answered in time or with a reason.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:add_command("who", function(server, data) return { id = server.worker_id, role = luaserv.role, got = data } end)
server:add_command("raise", function() error("no luck") end)
server:add_command("unsendable", function() return print end)
server:add_command("slow", function() luaserv.sleep(60) end)
server:add_command("die", function() require "ffi".cdef "int raise(int);" require "ffi".C.raise(9) end)
server:on("task", function() end)
server:on("receive", function(server, fd, reactor_id, line)
	local name, to, data = line:match("^(%S+) (%S+) ?(.*)\n")
	local fine, value, message, code
	if name == "define" then
		fine, value = pcall(server.add_command, server, "late", print)
	else
		fine, value, message, code = pcall(server.command, server, name, tonumber(to), { data }, data == "short" and 0.05 or 5)
	end
	if fine and type(value) == "table" then value = table.concat({ value.id, value.role, value.got[1] }, " ") end
	server:send(fd, (tostring(value) .. " " .. tostring(message) .. " " .. tostring(code)):gsub("\n", " ") .. "\n")
end)
server:start()
LUA

matrix 'answers and failures' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2, task_worker_num => 1 })->expect_crash;
	my $client = $server->client(timeout => 10);
	my $ask = sub ($what) { return $client->send("$what\n")->recv_until("\n") };
	my ($self) = $ask->('who 0 x') =~ /^0/ ? 0 : 1;

	is($ask->("who $_ x"), "$_ worker x nil nil\n", "worker $_") for 0, 1;
	is($ask->('who 2 y'), "2 task y nil nil\n", 'a task worker');
	like($ask->('raise 2'), qr/^nil \S+app\.lua:\d+: no luck 2004\n/, 'it raises');
	like($ask->('unsendable 2'), qr/^nil result is a function.* 2004\n/, 'what cannot be sent');
	is($ask->('nothing 2'), "nil there is no such command in the process that was asked 509\n", 'no such command');
	is($ask->('slow 2 short'), "nil timeout 110\n", 'too slow');
	like($ask->('who 3'), qr/there is no process 3; they are 0 to 2/, 'no such process');
	like($ask->('define 0'), qr/server:add_command/, 'not after the start');
	like($ask->('die 2'), qr/^nil task worker 2 \(pid \d+\) died by SIGKILL 2005\n/, 'the process ends');
	ok(wait_for(sub { $ask->('who 2 z') eq "2 task z nil nil\n" }), 'its successor answers');
};
done_testing();
