# Every task ends once, by its result or by a failure that is told: also while task workers are killed and while reloads roll.
# LUASERV_TEST_TASKS=1000000 gives at least so many in each case, and LUASERV_TEST_DISTURBANCES=20 kills or reloads at least so often.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Time::HiRes qw(time);

my $tasks = $ENV{LUASERV_TEST_TASKS} || 60_000;
my $disturbances = $ENV{LUASERV_TEST_DISTURBANCES} || 3;
my $batch = 10_000;

# Each connection's line is a batch, so many tasks and for so many seconds at least.  The answer: given, finished, failed, and what
# must be nothing: told twice, wrong, not told.
my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
local runs = {}

local function settle(server, id, data, failure)
	local run = runs[id]
	if not run then
		for _, other in pairs(runs) do other.strange = other.strange + 1 end
		return
	end
	runs[id] = nil
	if failure then
		run.failed = run.failed + 1
		if not failure.message:find("died by SIGKILL", 1, true) then run.strange = run.strange + 1 end
	elseif data == run.payload then
		run.finished = run.finished + 1
	else
		run.strange = run.strange + 1
	end
	run.room:push(true)
end

server:on("receive", function(server, fd, reactor_id, line)
	local n, seconds = line:match("(%d+) (%S+)")
	local given, till = 0, luaserv.now() + seconds
	local run = { finished = 0, failed = 0, strange = 0, payload = ("x"):rep(100), room = luaserv.channel(200) }
	for i = 1, 200 do run.room:push(true) end
	while given < tonumber(n) or luaserv.now() < till do
		given = given + 1
		run.room:pop()
		local id = assert(server:task(run.payload))
		runs[id] = run
	end
	for i = 1, 200 do run.room:pop() end
	server:send(fd, table.concat({ given, run.finished, run.failed, run.strange }, " ") .. "\n")
end)
server:on("task", function(server, id, src, data) return data end)
server:on("finish", settle)
server:start()
LUA

my %settings = (
	worker_num => 2, task_worker_num => 3, worker_max_deaths => 1000, max_wait_time => '60s', task_queue_max => 1000,
	reactor_num => 2,
);

# Gives tasks until there were enough and $disturb->(), called while they are under way, has done its work as often as is wanted.
sub run_batches ($server, $wanted = 0, $disturb = undef) {
	my ($given, $finished, $failed, $strange) = (0, 0, 0, 0);
	my ($disturbed, $next) = (0, time);

	while ($given < $tasks || $disturbed < $wanted) {
		my $client = $server->client(timeout => 60);

		$client->send("$batch " . ($wanted ? 0.3 : 0) . "\n");
		while ($client->quiet(0.02)) {
			next if $disturbed == $wanted && $given >= $tasks || time < $next || !$disturb;
			$disturbed += $disturb->();
			$next = time + 0.1;
		}

		my ($n, @counts) = split / /, $client->recv_until("\n");
		$given += $n;
		$finished += $counts[0];
		$failed += $counts[1];
		$strange += $counts[2];
	}
	is($finished + $failed, $given, "$given tasks: $finished have ended, $failed have failed; disturbed $disturbed times");
	is($strange, 0, 'none twice, none wrong');
	return $failed;
}

matrix 'without disturbance' => sub ($mode) {
	my $server = start_server(app => $app, settings => \%settings);

	is(run_batches($server), 0, 'none has failed');
};

matrix 'while task workers are killed' => sub ($mode) {
	my $server = start_server(app => $app, settings => \%settings)->expect_crash;

	run_batches(
		$server,
		$disturbances,
		sub {
			my @pids = grep { $_ } map { $_->{pid} } @{ $server->status->{tasks} };
			return @pids && kill KILL => $pids[ rand @pids ];
		}
	);
};

matrix 'while reloads roll' => sub ($mode) {
	my $server = start_server(app => $app, settings => \%settings);

	my $failed = run_batches(
		$server,
		$disturbances,
		sub {
			my ($code) = $server->reload;
			return $code == 0;
		}
	);
	is($failed, 0, 'none has failed');
};
done_testing();
