# reload --tasks and SIGUSR2: new code for the task workers, while the workers stay as they are.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("task", function(server, id, src, data) return "one" end)
server:on("receive", function(server, fd, reactor_id, line)
	server:send(fd, "one " .. tostring(server:task_wait("x", 5)) .. "\n")
end)
server:start()
LUA
my $settings = { worker_num => 2, task_worker_num => 2 };

sub version ($text, $n) { return $text =~ s/"one/"$n/gr }
sub ask ($client) { return $client->send("x\n")->recv_until("\n") }

matrix 'only task workers are replaced' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings)->expect_crash;
	my $client = $server->client;
	my @pids = $server->worker_pids;

	is(ask($client), "one one\n", 'before');
	my ($code, $out, $err) = $server->reload(app => version($app, 'two'), args => ['--tasks']);
	is($code, 0, 'reload --tasks');
	like($err, qr/generation 2/, 'it says so');
	is(ask($client), "one two\n", 'new code in the task workers');
	is_deeply([ $server->worker_pids ], \@pids, 'the workers are the same');

	# Whoever is started again runs what was accepted for it, also under a new manager.
	kill KILL => $server->status->{manager_pid} if $mode eq 'process';
	if ($mode eq 'process') {
		ok($server->wait_respawn($pids[0]), 'a worker') if kill KILL => $pids[0];
		is(ask($server->client), "one two\n", 'a worker that died is what it was');
	}
	my $task = $server->status->{tasks}[0]{pid};
	kill KILL => $task;
	ok($server->wait_status(sub { my $t = $_->{tasks}[0]; $t->{pid} && $t->{pid} != $task && $t->{state} eq 'ready' }), 'a task worker');
	is(ask($server->client), "one two\n", 'and so is it') for 1 .. 4;

	is(($server->reload(app => version($app, 'three')))[0], 0, 'a reload of all');
	ok(wait_for(sub { ask($server->client) eq "three three\n" }), 'is one of all');
};

matrix 'bad code is refused, SIGUSR2 does the same' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings);

	my ($code, $out, $err) = $server->reload(app => "error('no luck')", args => ['--tasks']);
	is($code, 1, 'refused');
	like($err, qr/no luck/, 'with its reason');
	is(ask($server->client), "one one\n", 'it serves on');
	$server->forget_log;
	$server->write_app(version($app, 'two'));
	kill USR2 => $server->pid;
	ok(wait_for(sub { ask($server->client) eq "one two\n" }), 'by signal');
};

matrix 'without task workers' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my ($code, $out, $err) = $server->cli('reload', '--tasks');

	is($code, 1, 'refused');
	like($err, qr/this server has no task workers/, 'with its reason');
	$server->forget_log;
};
done_testing();
