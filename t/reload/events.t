# What the app is told of a reload, and of workers that leave; and task workers that leave by themselves.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:set { max_wait_time = "10s", task_worker_num = 1 }
for _, event in ipairs { "before_reload", "after_reload" } do
	server:on(event, function(given) note(event, luaserv.role, tostring(given == server)) end)
end
local waiting
server:on("worker_exit", function(given, id)
	note("worker_exit", id, luaserv.role)
	if waiting then waiting:push(true) end
end)
server:on("worker_stop", function(given, id) note("worker_stop", id, luaserv.role) end)
server:on("task", function() return luaserv.role end)
server:on("request", function(req, res)
	if req.path == "/background" then
		waiting = luaserv.channel(1)
		luaserv.go(function() waiting:pop() note("let go") end)
	end
	res:finish("ok\n")
end)
server:start()
LUA

matrix 'before_reload, after_reload, worker_exit, worker_stop' => sub ($mode) {
	my $server = start_server(app => $app);

	is($server->get('/background')->body, "ok\n", 'a coroutine goes on in the background');
	my ($code) = $server->reload(app => "$app-- again\n");
	is($code, 0, 'reload');
	ok($server->wait_notes(6), 'all of it');
	my @notes = $server->notes;
	my %at = map { $notes[$_] => $_ } 0 .. $#notes;
	like($notes[0], qr/^before_reload \S+ true$/, 'first before_reload') if $mode eq 'process'; # in base mode nobody waits for it
	is(scalar(grep { /^before_reload/ } @notes), 1, 'once');
	is(scalar(grep { /^after_reload/ } @notes), 1, 'after_reload once');
	ok(defined $at{'worker_exit 0 worker'}, 'worker_exit where something still went on');
	ok($at{'let go'} > $at{'worker_exit 0 worker'}, 'which can end it');
	ok($at{'worker_stop 0 worker'} > $at{'let go'}, 'then worker_stop');
	ok(defined $at{'worker_stop 1 task'}, 'and of the task worker');
	is($server->stop, 0, 'it stops');
};

matrix 'task workers are replaced after task_max_request' => sub ($mode) {
	my $server = start_server(settings => { task_max_request => 5, task_max_request_grace => 0 }, app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:set { task_worker_num = 1 }
local function pid() local file = io.open("/proc/self/stat") local n = file:read("*n") file:close() return n end
server:on("task", function() return pid() end)
server:on("request", function(req, res)
	local pids, order = {}, {}
	-- The next one must be ready before one leaves, and meanwhile it goes on.
	local end_at = luaserv.now() + 20
	while #order < 3 and luaserv.now() < end_at do
		local n = assert(server:task_wait("who", 10))
		if not pids[n] then order[#order + 1] = n end
		pids[n] = (pids[n] or 0) + 1
	end
	local counts = {}
	for i, n in ipairs(order) do counts[i] = pids[n] end
	res:finish(#order .. " workers, " .. table.concat(counts, " ") .. "\n")
end)
server:start()
LUA
	my ($workers, $counts) = $server->client(timeout => 30)->get('/')->body =~ /^(\d+) workers, (.*)\n/;
	is($workers, 3, "one after the other: $counts");
	ok(!(grep { $_ < 5 } (split ' ', $counts)[0, 1]), 'each did what it should do before it left');
};
done_testing();
