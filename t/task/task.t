# Tasks: given, answered once, several times or not at all, waited for, refused, failed.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }

local function show(value)
	if type(value) ~= "table" then return tostring(value) end
	local keys, parts = {}, {}
	for key in pairs(value) do keys[#keys + 1] = key end
	table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
	for _, key in ipairs(keys) do parts[#parts + 1] = tostring(key) .. "=" .. show(value[key]) end
	return "{" .. table.concat(parts, ",") .. "}"
end

local function first_line(text) return text and (text:gsub("\n.*", "")) end

local asks = {}
function asks.id() return server:task("plain"), server:task("plain") end
function asks.callback(fd)
	server:task({ verb = "twice" }, -1, function(_, id, data, failure)
		note("callback", id, show(data), failure and "failed")
	end)
	return "given"
end
function asks.wait() return server:task_wait({ verb = "echo", value = { 1, "two", { three = false } } }, 5) end
function asks.nothing() return server:task_wait({ verb = "nothing" }, 5) end
function asks.large() local r = server:task_wait(("x"):rep(3000000), 5) return #r end
function asks.raise() local r, m, c = server:task_wait({ verb = "raise" }, 5) return r, first_line(m), c end
function asks.unsendable() local r, m, c = server:task_wait({ verb = "unsendable" }, 5) return r, first_line(m), c end
function asks.late() return server:task_wait({ verb = "late" }, 0.05) end
function asks.multi()
	return server:task_wait_multi({ "a", { verb = "raise" }, { verb = "echo", value = 3 }, { verb = "late" } }, 0.3)
end
function asks.co() return server:task_co({ "a", { verb = "raise" }, "c" }, 5) end
function asks.none() return server:task_wait_multi({}, 5) end
function asks.dst()
	local out = {}
	for dst = 0, 1 do out[#out + 1] = server:task_wait({ verb = "who" }, 5, dst) end
	return out
end
function asks.wrong()
	local out = {}
	for _, try in ipairs {
		function() server:task(print) end,
		function() server:task({ a = { print } }) end,
		function() server:task("x", 2) end,
		function() server:task_wait("x", 0) end,
		function() server:task() end,
		function() server:finish("x") end,
	} do
		out[#out + 1] = select(2, pcall(try)):gsub("^[^:]*:%d+: ", "")
	end
	return table.concat(out, "; ")
end

server:on("receive", function(server, fd, reactor_id, data)
	local out = { asks[data:match("%a+")](fd) }
	for i = 1, 3 do out[i] = show(out[i]) end
	server:send(fd, table.concat(out, " ") .. "\n")
end)

server:on("task", function(server, id, src, data)
	if type(data) == "string" then return data end
	local verb = data.verb
	if verb == "echo" then return data.value end
	if verb == "who" then return server.worker_id .. luaserv.role end
	if verb == "raise" then error("no luck") end
	if verb == "unsendable" then return { fn = print } end
	if verb == "late" then luaserv.sleep(0.5) return "too late" end
	if verb == "twice" then
		assert(server:finish("first"))
		assert(server:finish({ second = src }))
		return "third"
	end
end)
server:on("finish", function(server, id, data, failure) note("finish", id, show(data)) end)
server:start()
LUA

sub ask ($server, $what) {
	return $server->client->send("$what\n")->recv_until("\n");
}

my $settings = { worker_num => 1, task_worker_num => 2 };

matrix 'results come back in every way' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings);

	is(ask($server, 'id'), "0 1 nil\n", 'tasks are numbered from 0');
	is_deeply([ sort $server->wait_notes(2) ], [ 'finish 0 plain', 'finish 1 plain' ], 'the finish event');
	is(ask($server, 'callback'), "given nil nil\n", 'with a callback');
	is_deeply([ ($server->wait_notes(5))[ 2 .. 4 ] ],
		[ 'callback 2 first', 'callback 2 {second=0}', 'callback 2 third' ], 'it gets all results, in order');
	is(ask($server, 'wait'), "{1=1,2=two,3={three=false}} nil nil\n", 'task_wait: any plain value');
	is(ask($server, 'nothing'), "nil nil nil\n", 'a task without result');
	is(ask($server, 'large'), "3000000 nil nil\n", 'a large one');
	like(ask($server, 'multi'), qr/^\{1=a,3=3\} \{2=\S+app\.lua:\d+: no luck,4=the task has not ended in time\} nil\n/,
		'task_wait_multi: results and failures by place');
	is(ask($server, 'co'), "{1=a,2=false,3=c} nil nil\n", 'task_co: false in the place of a failure');
	is(ask($server, 'none'), "{} {} nil\n", 'an empty list');
	is(ask($server, 'dst'), "{1=1task,2=2task} nil nil\n", 'a chosen task worker');
};

matrix 'failures are told to who asked' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings);

	like(ask($server, 'raise'), qr/^nil \S+app\.lua:\d+: no luck 2004\n/, 'an error of the handler');
	ok($server->wait_log(qr/task\[\d\] handler\.c: the task handler failed: .*no luck/), 'it is in the log');
	is(ask($server, 'unsendable'),
		"nil result.fn is a function, which cannot be sent to another process; nil, booleans, numbers, strings and tables of them can 2004\n",
		'a result that cannot be sent');
	$server->forget_log;
	is(ask($server, 'late'), "nil the task has not ended in time 2003\n", 'a time-out');
	is(ask($server, 'wait'), "{1=1,2=two,3={three=false}} nil nil\n", 'and the next one is served');
	like(
		ask($server, 'wrong'),
		qr/^data is a function, .*; data\.a\[1\] is a function, .*; server:task: there is no task worker 2; they are 0 to 1, and -1 is any; server:task_wait: the time-out is a number of seconds above 0, not 0; bad argument #1 to 'server:task' .*; server:finish cannot be called in a worker/,
		'wrong use'
	);
};

my $coroutines = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", task_enable_coroutine = true }
server:on("receive", function(server, fd, reactor_id, data)
	local out = server:task_co({ { wait = 0.2, name = "slow" }, { wait = 0, name = "quick" } }, 5)
	server:send(fd, table.concat(out, " ") .. "\n")
end)
local old
server:on("task", function(server, task)
	note("begin", task.data.name, task.worker_id)
	luaserv.sleep(task.data.wait)
	note("end", task.data.name)
	if old then note(select(2, pcall(old.finish, old, "x"))) end
	note((select(2, pcall(server.finish, server, "x")):gsub("^[^:]*:%d+: ", "")))
	old = task
	assert(task:finish(task.data.name .. task.id))
end)
server:start()
LUA

matrix 'with task_enable_coroutine they run side by side' => sub ($mode) {
	my $server = start_server(app => $coroutines, settings => { worker_num => 1, task_worker_num => 1 });

	is($server->client->send("go\n")->recv_until("\n"), "slow0 quick1\n", 'both have results');
	my $no = 'server:finish is not for task_enable_coroutine; say task:finish(data)';
	is_deeply(
		[ $server->wait_notes(7) ],
		[ 'begin slow 0', 'begin quick 0', 'end quick', $no, 'end slow', 'task is finished', $no ],
		'the quick one ended first'
	);
};
done_testing();
