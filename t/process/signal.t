# luaserv.signal: signals of the operator's as events of a process.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:set { task_worker_num = 1 }
server:on("worker_start", function(server, id)
	luaserv.signal("USR1", function(name, sender)
		luaserv.sleep(0.001)
		note(luaserv.role, name, tostring(sender > 0))
	end)
	luaserv.signal("SIGHUP", function() error("no luck") end)
end)
server:on("task", function() end)
server:add_process(luaserv.process(function(process)
	luaserv.signal("USR2", function(name)
		note(luaserv.role, name)
		note(tostring(luaserv.signal("USR2")), tostring(luaserv.signal("USR2")))
	end)
end, { name = "listener", restart = "never" }))
server:on("request", function(req, res)
	local out = {}
	for _, name in ipairs { "TERM", "SIGKILL", "NONE" } do out[#out + 1] = select(2, pcall(luaserv.signal, name, print)) end
	res:finish(table.concat(out, "\n") .. "\n")
end)
server:start()
LUA

matrix 'handlers run, fail alone, and can be taken back' => sub ($mode) {
	my $server = start_server(app => $app);
	my $status = $server->status;
	my ($worker) = map { $_->{pid} } @{ $status->{workers} };
	my ($task) = map { $_->{pid} } @{ $status->{tasks} };
	my ($process) = map { $_->{pid} } @{ $status->{processes} };

	kill USR1 => $worker;
	is_deeply([ $server->wait_notes(1) ], ['worker SIGUSR1 true'], 'in a worker, and it may wait');
	kill USR1 => $task;
	is(($server->wait_notes(2))[1], 'task SIGUSR1 true', 'in a task worker');
	kill USR2 => $process;
	is_deeply([ @{ [ $server->wait_notes(4) ] }[ 2, 3 ] ], [ 'process SIGUSR2', 'true false' ], 'in a user process, which takes it back');
	ok(wait_for(sub { !alive($process) }), 'and has ended when it waits for nothing more');
	kill HUP => $worker;
	ok($server->wait_log(qr/the signal handler failed: .*no luck/), 'an error is logged');
	kill USR2 => $worker;
	my $answer = $server->get('/');
	like($answer->body, qr/^luaserv\.signal: SIGTERM cannot be handled by a script; HUP, USR1, .*\nluaserv\.signal: SIGKILL cannot be .*\nluaserv\.signal: there is no signal "NONE"$/m, 'what cannot be handled');
	is_deeply([ $server->worker_pids ], [$worker], 'a signal without a handler changes nothing');
	$server->forget_log;
};
done_testing();
