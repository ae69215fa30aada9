# User processes: each runs the function it was given, beside the workers and in touch with them.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use POSIX qw(mkfifo);

my $head = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, line) server:send(fd, line) end)
LUA

sub processes ($server) { return @{ $server->status->{processes} } }

# Waits for another process in the only slot, and returns its pid.
sub successor ($server, $old) {
	my $pid;

	ok($server->wait_status(sub ($s) {
		my $p = $s->{processes}[0];
		$pid = $p->{pid} if $p->{pid} && $p->{pid} != $old && $p->{state} eq 'ready';
		return $pid;
	}), 'there is a successor');
	return $pid;
}

my $everything = $head . <<'LUA';
server:set { worker_num = 2, task_worker_num = 1 }
server:on("worker_start", function(server, id) if luaserv.role == "process" then note("worker_start in a process") end end)
server:on("task", function(server, task_id, src, data) return data * 2 end)
local fds = {}
server:on("receive", function(server, fd, reactor_id, line)
	if line == "pid\n" then
		server:send(fd, table.concat({ server.worker_id, tostring(clock.id), tostring(clock.pid), clock.name }, " ") .. "\n")
	else
		server:send_message({ fd = fd, line = line }, clock.id)
	end
end)
server:on("pipe_message", function(server, src, data)
	if luaserv.role == "process" and data.line == "close\n" then
		server:close(data.fd)
	elseif luaserv.role == "process" then
		server:send(data.fd, "from a process: " .. data.line)
		server:send_message({ back = true }, src)
	else
		note("back", src)
	end
end)
clock = luaserv.process(function(process, server)
	note("runs", luaserv.role, server.worker_id, process.id, tostring(process.pid == server.worker_pid), process.name)
	note("task", (server:task_wait(21, 5)))
	server:task(4, -1, function(_, _, data) note("callback", data) end)
	luaserv.after(1, function() note("timer") end)
	while true do luaserv.sleep(10) end
end, { name = "clock" })
note("add", server:add_process(clock))
server:start()
LUA

matrix 'it does what a worker may do' => sub ($mode) {
	my $server = start_server(app => $everything, settings => { worker_num => undef });
	my $client = $server->client;

	ok(wait_for(sub { 4 == grep { /^(?:runs|task|callback|timer)/ } $server->notes }), 'it runs');
	my @notes = $server->notes;
	is(scalar(grep { $_ eq 'runs process 3 3 true clock' } @notes), 1, 'once, as a process of its own');
	is(scalar(grep { $_ eq 'task 42' } @notes), 1, 'a task was done for it');
	is(scalar(grep { $_ eq 'callback 8' } @notes), 1, 'and one with a callback');
	is(scalar(grep { $_ eq 'add 0' } @notes), 5, 'every process adds it: evaluator, workers, task worker, itself');
	is(scalar(grep { /worker_start/ } @notes), 0, 'worker_start is for workers');
	my ($process) = processes($server);
	is($process->{name}, 'clock', 'status has its name');
	is($process->{state}, 'ready', 'and its state');
	like($client->send("pid\n")->recv_until("\n"), qr/^[01] 3 $process->{pid} clock$/, 'workers know it');
	is($client->send("hello\n")->recv_until("\n"), "from a process: hello\n", 'it reaches connections');
	ok(wait_for(sub { grep { /^back 3$/ } $server->notes }), 'and workers');
	$client->send("close\n");
	ok($client->eof, 'it closes a connection');
	like(($server->cli('status'))[1], qr/^user process\s+3\s+$process->{pid} ready .* clock$/m, 'the table shows it');
	open my $title, '<', "/proc/$process->{pid}/cmdline" or die $!;
	like(<$title>, qr/^luaserv: user process 3 \(clock\)/, 'ps shows its name');
	is($server->stop, 0, 'stopped');
	ok(!alive($process->{pid}), 'it has gone with the server');
	unlike($server->log, qr/error|warn/, 'nothing to complain about');
};

my $ends = $head . <<'LUA';
server:on("pipe_message", function() end)
server:add_process(luaserv.process(function(process, server)
	note("run", server.worker_pid)
	for line in io.lines("$ROOT/orders") do
		if line == "stay" then while true do luaserv.sleep(10) end end
		if line == "fail" then error("as it was told") end
		if line == "return" then server:send_message("last words", 0) return end
		if line == "timer" then luaserv.after(50, function() note("timer", server.worker_pid) end) return end
	end
end, { $OPTS }))
server:start()
LUA

sub ends ($orders, $opts = '', %more) {
	return start_server(app => $ends =~ s/\$OPTS/$opts/r, files => { orders => $orders }, %more);
}

matrix 'killed, it is started again' => sub ($mode) {
	my $server = ends('stay')->expect_crash;
	my $pid = successor($server, 0);

	kill KILL => $pid;
	my $next = successor($server, $pid);
	ok($server->wait_log(qr/user process 1 \(pid $pid\) died by SIGKILL; starting it again at once/), 'told in the log');
	kill TERM => $next;
	successor($server, $next);
	ok($server->wait_log(qr/user process 1 \(pid $next\) exited with code 0/), 'SIGTERM lets it end in order');
	is(($server->wait_notes(3))[2] =~ /^run/, 1, 'and each has run');
};

matrix 'one that keeps failing is given up, in one line' => sub ($mode) {
	my $server = ends('fail', 'name = "fails"', settings => { worker_max_deaths => 3 });

	ok($server->wait_log(
		qr/error \w+ slot\.c: user process 1 \(fails\) \(pid \d+\) exited with code 1; .* the death number 3 .* until a reload/),
		'given up');
	is((processes($server))[0]{state}, 'failed', 'status says so');
	like($server->log, qr/the function of this user process failed: .*app\.lua:\d+: as it was told\n\s+stack traceback/, 'with the traceback');
	is(scalar(() = $server->log =~ /as it was told/g), 3, 'three times');
	is($server->client->send("still\n")->recv_until("\n"), "still\n", 'the server serves on');
	my ($code) = $server->reload(app => $ends =~ s/\$OPTS//r =~ s/"fail"/"never mind"/r =~ s/$/\n/r);
	is($code, 0, 'a reload');
	ok($server->wait_log(qr/exited with code 0/), 'gives it another chance, with the new code');
};

matrix 'it has ended when nothing of it is left' => sub ($mode) {
	my $server = ends('timer', 'restart = "on_error"');

	ok($server->wait_status(sub ($s) { $s->{processes}[0]{state} eq 'ended' }), 'it is not started again');
	like(join(' ', $server->notes), qr/^run (\d+) timer \1$/, 'its timer had fired');
	like($server->log, qr/exited with code 0; it is not started again \(restart = "on_error"\)/, 'and the log says so');
	is(($server->reload(app => $ends =~ s/\$OPTS/restart = "on_error"/r))[0], 0, 'a reload');
	is((processes($server))[0]{state}, 'ended', 'leaves it so');
};

matrix 'never means never' => sub ($mode) {
	my $server = ends('fail', 'restart = "never"');

	ok($server->wait_log(qr/exited with code 1; it is not started again \(restart = "never"\)/), 'told');
	is((processes($server))[0]{state}, 'ended', 'status says so');
	if ($mode eq 'process') {
		my $manager = $server->expect_crash->status->{manager_pid};

		kill KILL => $manager;
		ok($server->wait_status(sub ($s) { $s->{manager_pid} && $s->{manager_pid} != $manager }), 'there is a new manager');
		is(($server->reload(app => $ends =~ s/\$OPTS/restart = "never"/r))[0], 0, 'which reloads');
		is((processes($server))[0]{state}, 'ended', 'and knows it too');
	}
	is(scalar($server->notes), 1, 'it has run once');
};

matrix 'a reload leaves it alone, and its successor runs the new code' => sub ($mode) {
	my $app = $head . <<'LUA';
server:on("receive", function(server, fd, reactor_id, line) server:send(fd, "$VERSION\n") end)
server:add_process(luaserv.process(function(process, server)
	note("$VERSION", server.worker_pid)
	while true do luaserv.sleep(10) end
end))
server:start()
LUA
	my $server = start_server(app => $app =~ s/\$VERSION/old/gr)->expect_crash;
	my $pid = successor($server, 0);

	is(($server->reload(app => $app =~ s/\$VERSION/new/gr))[0], 0, 'reloaded');
	is($server->client->send("?\n")->recv_until("\n"), "new\n", 'workers run the new code');
	my ($process) = processes($server);
	is($process->{pid}, $pid, 'it is the same process');
	is($process->{generation}, 1, 'of the old generation');
	kill KILL => $pid;
	my $next = successor($server, $pid);
	is((processes($server))[0]{generation}, 2, 'its successor is of the new one');
	is(($server->wait_notes(2))[1], "new $next", 'and runs the new code');
	my ($code, $out, $err) = $server->reload(app => ($app =~ s/\$VERSION/third/gr) =~ s/server:start/server:add_process(luaserv.process(print)) server:start/r);
	is($code, 1, 'their number cannot change');
	like($err, qr/a restart is needed to change .*number of user processes \(1 -> 2\)/, 'and why');
};

matrix 'the death of the manager', process => 'base mode has no manager', sub ($mode) {
	my $server = ends('stay')->expect_crash;
	my $pid = successor($server, 0);
	my $manager = $server->status->{manager_pid};

	kill KILL => $manager;
	ok($server->wait_status(sub ($s) { $s->{manager_pid} && $s->{manager_pid} != $manager }), 'there is a new manager');
	is((processes($server))[0]{pid}, $pid, 'the process lives on');
	kill KILL => $pid;
	successor($server, $pid);
};

my $plain = $head . <<'LUA';
server:on("pipe_message", function() end)
server:add_process(luaserv.process(function(process, server)
	note("plain", tostring((pcall(luaserv.sleep, 0))))
	server:send_message("out", 0)
	local began = luaserv.now()
	while luaserv.now() - began < 0.4 do end
	note("undisturbed")
	io.open("$ROOT/fifo"):read()
end, { coroutine = false, name = "plain" }))
server:start()
LUA

matrix 'a plain one may block, and SIGTERM ends it where it stands' => sub ($mode) {
	my $server = new_server()->expect_crash(qr/SIGTERM/);

	mkfifo($server->root . '/fifo', 0600) or die $!;
	$server->start(app => $plain, settings => { max_execution_time => '100ms', max_wait_time => '60s' }) or die $server->complaint;
	my $pid = successor($server, 0);
	is(join(' ', $server->wait_notes(2)), 'plain false undisturbed', 'it cannot wait, and runs for as long as it likes');
	kill TERM => $pid;
	my $next = successor($server, $pid);
	is(scalar($server->wait_notes(4)), 4, 'its successor runs');
	unlike($server->log, qr/max_execution_time/, 'no watchdog minds');
	is($server->stop, 0, 'the server stops');
	ok(!alive($next), 'and the process with it');
};

sub refused (%how) {
	my $server = new_server();

	ok(!$server->start(%how), 'no start');
	return $server;
}

my %wrong = (
	'server:add_process(print)' => qr/bad argument #1 to 'server:add_process' \(process expected, got function\)|process expected/,
	'server:add_process(luaserv.process("no.such.module"))' => qr/the function of "add_process": .*no\.such/s,
	'server:add_process(luaserv.process(print, { nam = "x" }))' => qr/nam = string cannot be; options are name/,
	'server:add_process(luaserv.process(print, { restart = "often" }))' => qr/restart is "often"; it can be "always", "on_error" or "never"/,
	'server:add_process(luaserv.process(print, { name = ("x"):rep(32) }))' => qr/name has more than 31 bytes/,
	'local p = luaserv.process(print) server:add_process(p) server:add_process(p)' => qr/has been added already/,
	'if luaserv.role == "eval" then server:add_process(luaserv.process(print)) end' =>
		qr/the script added 1 user processes when it was evaluated, and 0 in this process/,
);

matrix 'what cannot be is refused' => sub ($mode) {
	for my $code (sort keys %wrong) {
		my $server = refused(app => $head . "$code\nserver:start()\n");

		like($server->complaint, $wrong{$code}, $code);
	}
};

matrix 'single mode', process => 'the mode is given', sub ($mode) {
	my $server = refused(app => $ends =~ s/\$OPTS//r, files => { orders => 'stay' }, settings => { mode => 'single' });

	like($server->complaint, qr/adds 1 user processes, but mode single is one process/, 'has no room for them');
};
done_testing();
