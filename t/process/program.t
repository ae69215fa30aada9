# luaserv.process{ … } and luaserv.exec: programs that a worker runs.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", task_worker_num = 1, max_programs = 5 }
local function text(r, message, code)
	if type(r) ~= "table" then return ("%s, %s, %s"):format(tostring(r), tostring(message), tostring(code)) end
	return ("code %s, signal %s, output %s"):format(tostring(r.code), tostring(r.signal), tostring(r.output and #r.output < 100 and r.output or r.output and #r.output))
end
local asks = {}
function asks.sort() return text(luaserv.exec({ "sort", "-n" }, { input = "3\n1\n2\n" })) end
function asks.env() return text(luaserv.exec({ "sh", "-c", "echo $X-$HOME; pwd; exit 7" }, { env = { X = "y z", HOME = false }, cwd = "/" })) end
function asks.missing() return text(luaserv.exec { "/no/such" }) end
function asks.directory() return text(luaserv.exec({ "true" }, { cwd = "/no/dir" })) end
function asks.late() return text(luaserv.exec({ "sleep", "100" }, { timeout = 0.1 })) end
function asks.held() return text(luaserv.exec({ "sh", "-c", "sleep 1 & exit 3" }, { timeout = 0.1 })) end
function asks.much() return text(luaserv.exec({ "yes" }, { max_output = 1000000 })) end
function asks.stderr() return text(luaserv.exec({ "sh", "-c", "echo out; echo err >&2" }, { stderr = "stdout" })) end
function asks.signal() return text(luaserv.exec { "sh", "-c", "kill -USR1 $$; sleep 1" }) end
function asks.through()
	local megabyte = ("0123456789abcde\n"):rep(65536)
	local r = assert(luaserv.exec({ "cat" }, { input = megabyte:rep(4) }))
	return tostring(r.output == megabyte:rep(4)) .. " " .. r.code
end
function asks.cat()
	local out = {}
	local function add(...) out[#out + 1] = text(...) end
	local cat = luaserv.process({ "cat" }):set { open_eof_split = true, package_eof = ";" }
	add(pcall(cat.read, cat))
	out[#out + 1] = tostring(cat:start() == cat.pid)
	add(cat:start())
	cat:write("one;two")
	out[#out + 1] = cat:read()
	add(cat:read(0.01))
	cat:write(";")
	out[#out + 1] = cat:read()
	add(cat:wait(0.01))
	cat:close("write")
	out[#out + 1] = ("%q"):format(cat:read())
	add(cat:wait())
	add(cat:wait(0))
	add(cat:kill())
	return table.concat(out, "|")
end
function asks.any()
	local first, second = luaserv.process { "sleep", "100" }, luaserv.process { "sleep", "100" }
	first:start()
	second:start()
	local out = { text(luaserv.wait(0.01)) }
	second:kill("SIGINT")
	local ended = luaserv.wait(5)
	out[2] = tostring(ended.pid == second.pid) .. " " .. text(ended)
	luaserv.go(function() luaserv.sleep(0.02) first:kill(9) end)
	ended = luaserv.wait()
	out[3] = tostring(ended.pid == first.pid) .. " " .. text(ended)
	out[4] = text(luaserv.wait())
	return table.concat(out, "|")
end
function asks.most()
	local programs, last = {}, nil
	for i = 1, 6 do
		programs[i] = luaserv.process { "sleep", "100" }
		local pid, message, code = programs[i]:start()
		if not pid then last = i .. " " .. message .. " " .. code end
	end
	for i = 1, 5 do programs[i]:kill("KILL") programs[i]:wait() end
	return last
end
function asks.leave(verb)
	local program = luaserv.process({ "sleep", "100" }, { daemon = verb == "daemon" })
	return tostring(program:start())
end
function asks.wrong()
	local out = {}
	for _, call in ipairs { { {} }, { { "a", 1 } }, { { "a\0b" } }, { { "a" }, { cw = 1 } }, { { "a" }, { cwd = 1 } }, { { "a" }, { stderr = "x" } }, { { "a" }, { env = { X = 1 } } } } do
		out[#out + 1] = select(2, pcall(function() return luaserv.process(call[1], call[2]):start() end))
	end
	return table.concat(out, "|"):gsub("%S+%.lua:%d+: ", "")
end
function asks.task() return server:task_wait("sort", 5) end
server:on("task", function(_, _, _, verb) return (asks[verb]():gsub("\n", ",")) end)
server:on("receive", function(server, fd, reactor_id, line)
	local verb, rest = line:match("(%a+) ?(%S*)")
	server:send(fd, (tostring((asks[verb](rest))):gsub("\n", ",")) .. "\n")
end)
server:start()
LUA

matrix 'run to their end' => sub ($mode) {
	my $client = start_server(app => $app)->client(timeout => 30);
	my $ask = sub ($line) { return $client->send("$line\n")->recv_until("\n") };

	is($ask->('sort'), "code 0, signal nil, output 1,2,3,\n", 'input and output');
	is($ask->('env'), "code 7, signal nil, output y z-,/,\n", 'environment, directory, code');
	is($ask->('missing'), "nil, /no/such cannot be started: No such file or directory, 2\n", 'no such program');
	is($ask->('directory'), "nil, true cannot be started: its directory cannot be entered: No such file or directory, 2\n", 'no such directory');
	is($ask->('late'), "nil, sleep did not end within 0.1 seconds; it was killed, 110\n", 'a time-out');
	is($ask->('held'), "nil, sh did not end within 0.1 seconds; it was killed, 110\n", 'one whose child holds its output');
	is($ask->('much'), "nil, yes wrote more than 1000000 bytes (max_output); it was killed, 1203\n", 'a limit');
	is($ask->('stderr'), "code 0, signal nil, output out,err,\n", 'both outputs');
	is($ask->('signal'), "code nil, signal SIGUSR1, output \n", 'a signal');
	is($ask->('through'), "true 0\n", 'four megabytes through it');
	is($ask->('task'), "code 0, signal nil, output 1,2,3,\n", 'in a task worker');
	like($ask->('wrong'), qr/^luaserv\.process: the list of a program's name and arguments is empty\|luaserv\.process: argument 1 of the program is number\|luaserv\.process: argument 0 of the program is a string with a zero byte\|luaserv\.process: there is no option "cw"; there are cwd, daemon, env, name, stderr\|luaserv\.process: cwd is a string, not a number\|luaserv\.process: stderr is "x"; it can be "log" or "stdout"\|luaserv\.process: env has names and their values/, 'mistakes');
};

matrix 'talked to, waited for, and not too many' => sub ($mode) {
	my $client = start_server(app => $app)->client(timeout => 30);
	my $ask = sub ($line) { return $client->send("$line\n")->recv_until("\n") };

	is($ask->('cat'), join('|', 'false, cat was not started: process:start(), nil', 'true', 'nil, cat was started already, 509', 'one;', 'nil, timeout, 110', 'two;',
		'nil, timeout, 110', '""', ('code 0, signal nil, output nil') x 2, "nil, it has ended, 3\n"), 'as a coroutine likes it');
	is($ask->('any'), "nil, timeout, 110|true code nil, signal SIGINT, output nil|true code nil, signal SIGKILL, output nil|nil, this process runs no program, 10\n", 'luaserv.wait');
	is($ask->('most'), "6 sleep cannot be started: this process runs 5 programs (max_programs) 11\n", 'max_programs');
	is($ask->('sort'), "code 0, signal nil, output 1,2,3,\n", 'and then there is room again');
};

# A program is killed with its worker, however that ends; a daemon lives on.
matrix 'how they end with their worker' => sub ($mode) {
	my $server = start_server(app => $app)->expect_crash;
	my ($worker) = $server->worker_pids;
	my $leave = sub ($kind = '') { chomp(my $pid = $server->client->send("leave $kind\n")->recv_until("\n")); return $pid };
	my ($program, $daemon) = ($leave->(), $leave->('daemon'));

	ok(alive($program) && alive($daemon), 'both run');
	kill KILL => $worker;
	ok($server->wait_respawn($worker), 'the worker was killed');
	ok(wait_for(sub { !alive($program) }), 'so its program was');
	ok(alive($daemon), 'but not the daemon');
	$program = $leave->();
	my ($code) = $server->reload(app => "$app-- again\n");
	is($code, 0, 'reload');
	ok(wait_for(sub { !alive($program) }), 'the program of the old generation ends with it');
	$program = $leave->();
	$server->stop;
	ok(wait_for(sub { !alive($program) }), 'and at the stop');
	ok(alive($daemon), 'the daemon still lives');
	kill KILL => $daemon;
};
done_testing();
