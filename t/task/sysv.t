# Tasks through a System V queue (task_ipc_mode 2 and 3): from workers, from outside, over restarts; none is lost in silence.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Queue;
use Test::Luaserv::Util qw(run_command server_binary);
use Time::HiRes qw(time);

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", worker_num = 1 }
local function exists(path) local f = io.open(path) if f then f:close() end return f ~= nil end

local asks = {}
function asks.size(n)
	local data = ("x"):rep(n)
	local got, message = server:task_wait(data, 20)
	return got == data and "same" or message or "other"
end
function asks.value() local v = server:task_wait({ a = { 1, "two" }, b = false }, 5) return v.a[2], v.b end
function asks.who(dst) return server:task_wait("who", 5, dst) end
function asks.raise() local r, m, c = server:task_wait("raise", 5) return r, (m:gsub("\n.*", "")), c end
function asks.hold() return server:task("hold") end
function asks.wait_hold() return server:task_wait("hold", 60) end
function asks.give(n) for i = 1, n do assert(server:task("note " .. i)) end return "given" end
function asks.fill(n)
	for i = 1, 1e6 do
		local id, message, code = server:task(("x"):rep(n))
		if not id then return i - 1, message, code end
	end
end
function asks.twice()
	server:task("twice", -1, function(_, id, data) note("result", data) end)
	return "given"
end

server:on("receive", function(server, fd, reactor_id, line)
	local name, n = line:match("(%S+) ?(%S*)\n")
	local out = { asks[name](tonumber(n)) }
	for i = 1, math.max(#out, 3) do out[i] = tostring(out[i]) end
	server:send(fd, table.concat(out, " ") .. "\n")
end)
server:on("task", function(server, id, src, data)
	if type(data) == "table" then return data end
	if data == "who" then return server.worker_id end
	if data == "raise" then error("no luck", 0) end
	if data:find("^hold") then
		note("held", server.worker_id, server.worker_pid)
		while not exists("$ROOT/go") do luaserv.sleep(0.01) end
		return "went"
	end
	if data == "twice" then assert(server:finish("one")) return "two" end
	if data == "answer" then note("answer", tostring(server:finish("x"))) return "y" end
	if data:find("^note") then note(data, id, src) return end
	if data:find("^length") then note("length", #data, id, src) return end
	return data
end)
server:on("finish", function(server, id, data, failure) if failure then note("failed", failure.message, failure.code, failure.worker_id) end end)
server:start()
LUA

sub ask ($server, $what, $limit = 25) { return $server->client(timeout => $limit)->send("$what\n")->recv_until("\n") }

sub settings ($ipc, %more) { return { task_worker_num => 2, task_ipc_mode => $ipc, %more } }

matrix 'tasks of every size, with results' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = start_server(app => $app, settings => settings($ipc, task_tmpdir => '$ROOT/tmp'));

		is(ask($server, "size $_"), "same nil nil\n", "$_ bytes") for 0, 1, 100, 8151, 8152, 8153, 8192, 100_000, 5_000_000;
		is(ask($server, 'value'), "two false nil\n", 'any plain value');
		is(ask($server, 'raise'), "nil no luck 2004\n", 'a failure');
		is(ask($server, 'twice'), "given nil nil\n", 'several results');
		is_deeply([ $server->wait_notes(2) ], [ 'result one', 'result two' ], 'in order');
		if ($ipc == 2) {
			is(ask($server, "who $_"), 1 + $_ . " nil nil\n", "task worker $_ is chosen") for 0, 1, 0;
		} else {
			like(ask($server, 'who 1'), qr/^[12] nil nil\n/, 'any task worker, whichever was named');
		}
		my @queues = Test::Luaserv::Queue::ids($server->worker_pids);
		is(scalar @queues, 1, "mode $ipc: all that went through one queue");
		is($server->stop, 0, 'it stops');
		ok(!Test::Luaserv::Queue::exists($queues[0]), 'and its queue has gone');
		is_deeply([ glob $server->root . '/tmp/*' ], [], 'and all files');
	}
};

matrix 'what is queued at a stop runs after the next start' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = new_server(mode => $mode);
		my $queue = Test::Luaserv::Queue->new($server);
		my $settings = settings($ipc, task_worker_num => 1, message_queue_key => $queue->key, max_wait_time => '1s');

		ok($server->start(app => $app, settings => $settings), "mode $ipc: it starts");
		ask($server, 'hold');
		$server->wait_notes(1);
		is(ask($server, 'give 5'), "given nil nil\n", 'five tasks behind one that takes long');
		is($queue->count, 5, 'they are in the queue');
		is($server->stop, 0, 'it stops');
		like($server->log, qr/notice master taskbox\.c: 5 messages stay in the task queue with message_queue_key ${\ $queue->hex} for the next start/, 'it says so');
		is($queue->count, 5, 'the queue is there');
		unlink $server->root . '/notes';
		ok($server->start(settings => $settings), 'it starts again');
		is_deeply([ $server->wait_notes(5) ], [ map { "note $_ -1 -1" } 1 .. 5 ], 'all run, in order, asked for by nobody here');
		is(ask($server, 'size 100'), "same nil nil\n", 'and new ones');
		is_deeply([ scalar $server->notes, $queue->count ], [ 5, 0 ], 'none ran twice');
		is($server->stop, 0, 'it stops');
		$queue->remove;
	}
};

matrix 'tasks for task workers that are not there any more go to others' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my $queue = Test::Luaserv::Queue->new($server);

	$queue->create;
	$queue->push("LSQ1\0\0\0\0note $_", $_) for 7, 4, 1, 3, 9;
	$queue->push('garbage', 8);
	ok($server->start(app => $app, settings => settings(2, message_queue_key => $queue->key)), 'it starts');
	is_deeply([ sort { $a cmp $b } $server->wait_notes(5) ], [ map { "note $_ -1 -1" } 1, 3, 4, 7, 9 ], 'all run');
	ok(wait_for(sub { $queue->count == 0 }), 'nothing stays');
	ok($server->wait_log(qr/warn task\[1\] janitor\.c: a message in the task queue is for task worker 6, but there are only 2; another one gets it \(0 more\)/), 'the log says so');
	is(ask($server, 'size 10'), "same nil nil\n", 'and it goes on');
	$queue->remove if $server->stop == 0;
};

matrix 'other programs put tasks into it' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = new_server(mode => $mode);
		my $queue = Test::Luaserv::Queue->new($server);
		my @python = ('python3', repo_root() . '/examples/queue/push.py');

		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->key, 'x') ],
			[ 1, '', "luaserv: there is no task queue with the key ${\ $queue->hex}; a server with that message_queue_key makes it when it starts\n" ],
			"mode $ipc: no queue");
		ok($server->start(app => $app, settings => settings($ipc, message_queue_key => $queue->key, log_level => 'debug', task_tmpdir => '$ROOT/tmp')), 'it starts');
		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->key, 'note one') ], [ 0, '', '' ], 'luaserv task push');
		is_deeply([ $server->wait_notes(1) ], ['note one -1 -1'], 'it runs');
		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->hex, '--target', 1, 'note two') ], [ 0, '', '' ], 'to one of them');
		is(($server->wait_notes(2))[1], 'note two -1 -1', 'it runs');
		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->key, '--tmpdir', '$ROOT/tmp', 'length' . 'x' x 50_000) ], [ 0, '', '' ], 'a large one');
		is(($server->wait_notes(3))[2], 'length 50006 -1 -1', 'it runs');
		is_deeply([ run_command(argv => [ @python, $queue->hex, 'note three', 1 ]) ], [ 0, '', '' ], 'push.py');
		is(($server->wait_notes(4))[3], 'note three -1 -1', 'it runs');
		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->key, 'answer') ], [ 0, '', '' ], 'one with results');
		is(($server->wait_notes(5))[4], 'answer true', 'they can be given');
		ok($server->wait_log(qr/debug task\[\d\] duties\.c: a result of a task from outside is dropped\n.*debug task\[\d\] duties\.c: the result of a task from outside is dropped/s), 'and are dropped');
		$queue->remove if $server->stop == 0;
	}
};

matrix 'the command is told what it needs' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my %cases = (
		'luaserv: task takes a word: luaserv task push -k KEY DATA' => ['task'],
		"luaserv: task takes a word: luaserv task push -k KEY DATA\n" => [ 'task', 'pull' ],
		'luaserv: task push needs the task\'s data' => [ 'task', 'push' ],
		'luaserv: task push needs the message_queue_key' => [ 'task', 'push', 'x' ],
		'luaserv: task does not take "y"' => [ 'task', 'push', 'x', 'y' ],
		'luaserv: --key takes a message_queue_key such as 1234 or 0x4d2, not "0x"' => [ 'task', 'push', '-k', '0x', 'x' ],
		'not "-1"' => [ 'task', 'push', '-k', '-1', 'x' ],
		'not "4294967296"' => [ 'task', 'push', '-k', '4294967296', 'x' ],
		'luaserv: --target takes the number of a task worker, from 0, not "a"' => [ 'task', 'push', '-k', '1', '--target', 'a', 'x' ],
	);

	for my $text (sort keys %cases) {
		my ($code, $out, $err) = $server->cli_bare(@{ $cases{$text} });

		is($code, 2, "@{ $cases{$text} }");
		like($err, qr/\Q$text\E/, 'what it says');
	}
};

matrix 'a full queue refuses' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = new_server(mode => $mode);
		my $queue = Test::Luaserv::Queue->new($server);

		ok($server->start(app => $app, settings => settings($ipc, task_worker_num => 1, task_queue_max => 200, message_queue_key => $queue->key)), "mode $ipc: it starts");
		ask($server, 'hold');
		$server->wait_notes(1);
		is(ask($server, 'fill 8000'), "2 task queue is full 506\n", 'two large ones fit');
		is(ask($server, 'fill 10000') =~ s/^\d+/N/r, "N task queue is full 506\n", 'of still larger ones only their names');
		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->key, 'x' x 1000) ], [ 1, '', "luaserv: the task queue is full\n" ], 'for others, too');
		spew($server->root . '/go', '');
		ok(wait_for(sub { ask($server, 'size 10') eq "same nil nil\n" }), 'then they are done');
		unlink $server->root . '/go';
		ask($server, 'hold');
		$server->wait_notes(2);
		is(ask($server, 'fill 1'), "199 task queue is full 506\n", 'task_queue_max holds as well');
		spew($server->root . '/go', '');
		$queue->remove if $server->stop == 0;
	}
};

matrix 'a task worker that is killed' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = new_server(mode => $mode)->expect_crash;
		my $queue = Test::Luaserv::Queue->new($server);

		ok($server->start(app => $app, settings => settings($ipc, task_worker_num => 1, message_queue_key => $queue->key)), "mode $ipc: it starts");
		my $waits = $server->client(timeout => 20)->send("wait_hold\n");
		my ($held) = $server->wait_notes(1);
		my ($pid) = $held =~ /(\d+)$/;
		ask($server, 'give 3');
		kill KILL => $pid;
		is($waits->recv_until("\n"), "nil task worker 1 (pid $pid) died by SIGKILL 2005\n", 'who asked is told');
		is_deeply([ ($server->wait_notes(4))[ 1 .. 3 ] ], [ map { "note $_ " . $_ . ' 0' } 1 .. 3 ], 'its successor does the others');
		$server->cli_bare('task', 'push', '-k', $queue->key, 'hold');
		($pid) = ($server->wait_notes(5))[4] =~ /(\d+)$/;
		kill KILL => $pid;
		ok($server->wait_log(qr/error master keeper\.c: task worker 1 \(pid $pid\) died by SIGKILL with 1 tasks from outside, which are lost/), 'one from outside: the log says so');
		is(ask($server, 'size 10'), "same nil nil\n", 'and it goes on');
		$queue->remove if $server->stop == 0;
		is(scalar(() = $server->log =~ /which are lost/g), 1, 'once');
	}
};
matrix 'tasks of a worker that died are done all the same' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = start_server(app => $app, settings => settings($ipc, task_worker_num => 1))->expect_crash;
		my ($worker) = $server->worker_pids;

		ask($server, 'hold');
		$server->wait_notes(1);
		ask($server, 'give 3');
		kill KILL => $worker;
		ok($server->wait_respawn($worker), "mode $ipc: the worker is replaced");
		spew($server->root . '/go', '');
		is_deeply([ ($server->wait_notes(4))[ 1 .. 3 ] ], [ map { "note $_ $_ 0" } 1 .. 3 ], 'all three are done');
		is(ask($server, 'size 9000'), "same nil nil\n", "and its successor's");
		is($server->stop, 0, 'it stops');
	}
};

# Each connection's line is a batch: given, finished, failed, and what must be nothing: told twice, wrong.
my $counting = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, line)
	local n = tonumber(line)
	local run = { finished = 0, failed = 0, strange = 0 }
	local left = luaserv.channel(n)
	for i = 1, n do
		local payload, told = ("x"):rep(i % 50 == 0 and 9000 or 100) .. i, false
		local function on_end(server, id, data, failure)
			if told then run.strange = run.strange + 1 return end
			told = true
			if failure then
				run.failed = run.failed + 1
				if not failure.message:find("died by SIGKILL", 1, true) then run.strange = run.strange + 1 end
			elseif data == payload then run.finished = run.finished + 1
			else run.strange = run.strange + 1 end
			left:push(true)
		end
		while true do
			local id, message = server:task(payload, -1, on_end)
			if id then break end
			assert(message == "task queue is full", message)
			luaserv.sleep(0.001)
		end
	end
	for i = 1, n do left:pop() end
	server:send(fd, table.concat({ n, run.finished, run.failed, run.strange }, " ") .. "\n")
end)
server:on("task", function(server, id, src, data) return data end)
server:start()
LUA

# Batches with `each` meanwhile, until that has returned `enough`; how many failed.
sub run_batches ($server, $enough, $each) {
	my ($given, $finished, $failed, $strange) = (0, 0, 0, 0);

	for (my $done = 0; $done < $enough;) {
		my $client = $server->client(timeout => 60);

		$client->send("1000\n");
		$done = $each->() while $client->quiet(0.01);
		my ($n, @counts) = split / /, $client->recv_until("\n");
		$given += $n;
		$finished += $counts[0];
		$failed += $counts[1];
		$strange += $counts[2];
	}
	is($finished + $failed, $given, "$given tasks: $finished have ended, $failed have failed");
	is($strange, 0, 'none twice, none wrong');
	return $failed;
}

my %counting = (worker_num => 2, task_worker_num => 3, worker_max_deaths => 1000, max_wait_time => '60s', task_tmpdir => '$ROOT/tmp');

matrix 'while task workers are killed every task ends once' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = start_server(app => $counting, settings => { %counting, task_ipc_mode => $ipc })->expect_crash;
		my ($next, $kills) = (time, 0);

		run_batches($server, 8, sub {
			return $kills if time < $next || $kills == 8;
			my @pids = grep { $_ } map { $_->{pid} } @{ $server->status->{tasks} };
			return $kills if !@pids;
			$next = time + 0.05;
			kill KILL => $pids[ rand @pids ];
			return ++$kills;
		});
		pass("mode $ipc: $kills were killed");
		is($server->stop, 0, 'it stops');
	}
};

matrix 'while reloads roll none fails' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = start_server(app => $counting, settings => { %counting, task_ipc_mode => $ipc });
		my ($reloads, $next) = (0, time);

		my $failed = run_batches($server, 4, sub {
			return $reloads if time < $next;
			my ($code) = $server->reload;
			$next = time + 0.05;
			return $reloads += $code == 0;
		});
		is($failed, 0, "mode $ipc: none has failed with $reloads reloads");
		is($server->stop, 0, 'it stops');
	}
};

# A message is lost between the kernel and the task worker that takes it, as when that dies there: here we take it.
matrix 'a task that nobody knows of is reported' => sub ($mode) {
	for my $ipc (2, 3) {
		my $server = new_server(mode => $mode)->expect_crash;
		my $queue = Test::Luaserv::Queue->new($server);

		ok($server->start(app => $app, settings => settings($ipc, task_worker_num => 1, message_queue_key => $queue->key)), "mode $ipc: it starts");
		ask($server, 'hold');
		my ($pid) = ($server->wait_notes(1))[0] =~ /(\d+)$/;
		my $waits = $server->client(timeout => 20)->send("size 10\n");
		ok(wait_for(sub { $queue->count == 1 }), 'a task waits');
		$queue->queue->rcv(my $stolen, 8192, 0);
		ask($server, 'give 2');
		kill KILL => $pid;
		is($waits->recv_until("\n"), "task worker 1 (pid $pid) died by SIGKILL nil nil\n", 'who asked is told');
		is_deeply([ sort((($server->wait_notes(4))[ 1 .. 3 ])) ], [ "failed task worker 1 (pid $pid) died by SIGKILL 2005 1", 'note 1 2 0', 'note 2 3 0' ], 'those that were there are done');
		$queue->remove if $server->stop == 0;
	}
};

matrix 'garbage is dropped' => sub ($mode) {
	my $head = "LSQ1\0\0\0\0";
	my @garbage = (
		'', 'x', 'LSQ1', 'x' x 8192, "LSQ2\0\0\0\0x", "LSQ1\xff\0\0\0x", "LSQ1\1\0\0\0short", "LSQ1\0\1\0\0\xff", "LSQ1\0\1\0\0\x08\xff\xff\xff\x7f\0\0\0\0",
		"LSQ1\2\0\0\0../../etc/passwd", "LSQ1\2\0\0\0luaserv.task.1.abcdef", "LSQ1\4\0\0\0",
		"LSQ1\5\0\0\0" . pack('Q3L2', 77, 1, 1, 0, 0), "LSQ1\1\0\0\0" . pack('Q3L2', 0, 1, 1, 0, 0) . 'x',
	);

	for my $ipc (2, 3) {
		my $server = new_server(mode => $mode);
		my $queue = Test::Luaserv::Queue->new($server);

		ok($server->start(app => $app, settings => settings($ipc, message_queue_key => $queue->key, task_tmpdir => '$ROOT/tmp')), "mode $ipc: it starts");
		for my $bytes (@garbage) {
			for my $type (1, 2) {
				ok(wait_for(sub { $queue->push($bytes, $type) }), 'a message');
			}
		}
		is(ask($server, 'size 100'), "same nil nil\n", 'tasks go on');
		ok(wait_for(sub { $queue->count == 0 }), 'all were taken');
		$server->cli_bare('task', 'push', '-k', $queue->key, 'note end');
		is_deeply([ $server->wait_notes(1) ], ['note end -1 -1'], 'none of them has run');
		my @lines = grep { /warn task\[\d\] fetch\.c: a message in the task queue is dropped: / } split /\n/, $server->log;
		cmp_ok(scalar @lines, '>=', 1, 'the log says so');
		cmp_ok(scalar @lines, '<=', 4, 'not for each');
		is(scalar(grep { $_->{restarts} } @{ $server->status->{tasks} }), 0, 'nobody died');
		$queue->remove if $server->stop == 0;
		unlike($server->log, qr/which are lost/, 'nothing counts as lost');
	}
};

matrix 'data that cannot be had' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my $queue = Test::Luaserv::Queue->new($server);

	ok($server->start(app => $app, settings => settings(3, task_worker_num => 1, message_queue_key => $queue->key, task_tmpdir => '$ROOT/tmp')), 'it starts');
	$queue->push("LSQ1\2\0\0\0luaserv.task.1.abcdef");
	ok($server->wait_log(qr/warn task\[1\] fetch\.c: a message in the task queue is dropped: the file with its data cannot be read from task_tmpdir: No such file or directory \(0 more\)/), 'of somebody else: a line in the log');
	ask($server, 'hold');
	$server->wait_notes(1);
	my $waits = $server->client(timeout => 20)->send("size 20000\n");
	ok(wait_for(sub { $queue->count == 1 }), 'a task waits');
	my @files = glob $server->root . '/tmp/luaserv.task.*';
	is(scalar @files, 1, 'with a file');
	unlink @files;
	spew($server->root . '/go', '');
	is($waits->recv_until("\n"), "the file with the task's data has gone from task_tmpdir nil nil\n", 'who asked is told');
	is(ask($server, 'size 20000'), "same nil nil\n", 'and it goes on');
	$queue->remove if $server->stop == 0;
};

matrix 'with task_enable_coroutine they run side by side' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my $queue = Test::Luaserv::Queue->new($server);
	my $side_by_side = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", task_enable_coroutine = true }
server:on("receive", function(server, fd, reactor_id, data)
	server:send(fd, table.concat(server:task_co({ "slow", "quick" }, 5), " ") .. "\n")
end)
server:on("task", function(server, task)
	if task.data == "slow" then luaserv.sleep(0.2) end
	note(task.data, task.id, task.worker_id)
	assert(task:finish(task.data .. task.id))
end)
server:start()
LUA

	ok($server->start(app => $side_by_side, settings => settings(3, task_worker_num => 1, message_queue_key => $queue->key)), 'it starts');
	is($server->client(timeout => 10)->send("go\n")->recv_until("\n"), "slow0 quick1\n", 'results');
	is_deeply([ $server->wait_notes(2) ], [ 'quick 1 0', 'slow 0 0' ], 'the quick one ended first');
	$server->cli_bare('task', 'push', '-k', $queue->key, 'outside');
	is(($server->wait_notes(3))[2], 'outside -1 -1', 'and one from outside');
	$queue->remove if $server->stop == 0;
};

matrix 'the queue goes with a master that is killed, unless it has a key' => sub ($mode) {
	my $server = start_server(app => $app, settings => settings(2))->expect_crash;

	is(ask($server, 'size 100'), "same nil nil\n", 'a task goes through it');
	my ($id) = Test::Luaserv::Queue::ids($server->worker_pids);
	ok($id, 'there is a queue');
	kill KILL => $server->pid;
	ok(wait_for(sub { !Test::Luaserv::Queue::exists($id) }), 'it goes');
	$server->wait_exit;

	my $queue = Test::Luaserv::Queue->new(my $other = new_server(mode => $mode)->expect_crash);
	ok($other->start(app => $app, settings => settings(2, message_queue_key => $queue->key)), 'with a key');
	my @children = descendants($other->pid);
	kill KILL => $other->pid;
	$other->wait_exit;
	ok(wait_for(sub { !grep { alive($_) } @children }), 'all have ended');
	is($queue->count, 0, 'the queue is there');
	$queue->remove;
};

matrix 'a queue that somebody removes' => sub ($mode) {
	my $server = new_server(mode => $mode)->expect_crash(qr/task queue|task worker \d/);
	my $queue = Test::Luaserv::Queue->new($server);

	ok($server->start(app => $app, settings => settings(3, task_worker_num => 1, message_queue_key => $queue->key, worker_max_deaths => 2)), 'it starts');
	ask($server, 'hold');
	$server->wait_notes(1);
	my $waits = $server->client(timeout => 20)->send("size 10\n");
	ok(wait_for(sub { $queue->count == 1 }), 'a task waits');
	$queue->remove;
	is(ask($server, 'fill 1'), "0 the task cannot be put into the queue; the log says why 2002\n", 'no more tasks');
	is($waits->recv_until("\n"), "the task queue was removed by somebody else, with the task in it nil nil\n", 'who waits is told');
	ok($server->wait_log(qr/a task cannot be put into the queue: somebody else has removed it, so the server must be started anew/), 'the log says so');
	spew($server->root . '/go', '');
	ok($server->wait_log(qr/the task queue cannot be read: somebody has removed it, so the server must be started anew; this task worker ends/), 'as do task workers');
	ok($server->wait_status(sub { $_->{tasks}[0]{state} eq 'failed' }), 'which are given up');
};

matrix 'files that nobody will read are removed' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my $queue = Test::Luaserv::Queue->new($server);
	my $dir = $server->root . '/tmp';
	my $id = $queue->create->id;
	my ($unread, $new, $orphan, $others) = ("luaserv.task.$id.aaaaaa", "luaserv.task.$id.bbbbbb", 'luaserv.task.2147483647.cccccc', 'luaserv.task.notes');

	spew("$dir/$_", 'x') for $unread, $new, $orphan, $others;
	utime time - 1000, time - 1000, map { "$dir/$_" } $unread, $orphan, $others;
	ok($server->start(app => $app, settings => settings(2, message_queue_key => $queue->key, task_tmpdir => $dir)), 'it starts');
	is_deeply([ map { -e "$dir/$_" ? 1 : 0 } $unread, $new, $orphan, $others ], [ 0, 1, 0, 1 ], 'old ones of ours');
	is($server->stop, 0, 'it stops');
	$queue->push("LSQ1\0\0\0\0note x");
	spew("$dir/$unread", 'x');
	utime time - 1000, time - 1000, "$dir/$unread";
	ok($server->start(settings => settings(2, message_queue_key => $queue->key, task_tmpdir => $dir)), 'it starts again');
	ok(-e "$dir/$unread", 'not while there are messages, which may name it');
	$queue->remove if $server->stop == 0;
};

matrix 'what cannot work is refused with the reason' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my $queue = Test::Luaserv::Queue->new($server);
	my $refused = sub ($what, $pattern, %settings) {
		ok(!$server->start(app => $app, settings => settings(2, %settings)), $what);
		is($server->exit_code, 1, 'its exit code');
		like($server->complaint, $pattern, 'what it says');
		unlink "$server->{root}/logs/stderr";
	};

	$refused->('a key without a queue', qr/message_queue_key is 5, but with task_ipc_mode 1 no task goes through a queue; say task_ipc_mode 2 or 3/, task_ipc_mode => 1, message_queue_key => 5);
	$refused->('a mode that is none', qr/task_ipc_mode is 4, but it must be 1 to 3/, task_ipc_mode => 4);
	$refused->('a directory that cannot be', qr{task_tmpdir /proc/none cannot be made}, task_tmpdir => '/proc/none');
	SKIP: {
		my @as_nobody = qw(setpriv --reuid 65534 --regid 65534 --clear-groups);

		Test::More::skip('needs root and setpriv', 1) if $> || (run_command(argv => [ @as_nobody, server_binary(), 'version' ]))[0];
		$queue->create;
		is_deeply([ run_command(argv => [ @as_nobody, server_binary(), 'task', 'push', '-k', $queue->hex, 'x' ]) ],
			[ 1, '', "luaserv: the task cannot be put into the queue, or its data into /tmp: they belong to another user; run this as the user that the server runs as\n" ],
			"another user's queue");
		my $theirs = $server->root . '/theirs.lua';
		spew($theirs, $server->expand($app));
		chmod 0755, $server->root;
		my ($code, $out, $err) = run_command(argv => [ @as_nobody, server_binary(), '-s', $theirs, '-o', "mode=$mode", '-o', 'task_worker_num=1', '-o', 'task_ipc_mode=2', '-o', 'message_queue_key=' . $queue->key ],
			env => { LUASERV_RUNTIME_DIR => '/tmp/luaserv-nobody-' . $queue->key });
		is($code, 1, 'a server that would use it');
		like($err, qr/the task queue with message_queue_key ${\ $queue->hex} belongs to another user; start as that user, say another key, or remove it: ipcrm -Q ${\ $queue->hex}\n/, 'what it says');
		File::Path::remove_tree('/tmp/luaserv-nobody-' . $queue->key);
	}
	$queue->create->set(qbytes => 1000);
	$refused->('a queue that is too small', qr/the task queue holds 1000 bytes, which is less than one message of 8192; say sysctl kernel\.msgmnb=16384 or more/, message_queue_key => $queue->key);
	$queue->remove;
};
done_testing();
