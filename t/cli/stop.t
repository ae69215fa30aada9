use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

matrix 'stop returns when the server has gone' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });
	my @below = descendants($server->pid);
	my ($code, $out, $err) = $server->cli('stop');

	is($code, 0, 'exit code') or diag($out, $err);
	is($server->wait_exit, 0, 'the server ends with 0');
	is_deeply([ grep { alive($_) } @below ], [], 'no process of it is left');
	ok(!-e $server->pid_path, 'nor its pid file');
	ok(!eval { $server->client }, 'nobody listens');
};

matrix 'without a server the exit code is 3' => sub ($mode) {
	my $server = start_server(app => $app);
	$server->stop;

	for my $command (qw(stop status reload reopen)) {
		my ($code, $out, $err) = $server->cli($command);
		is($code, 3, "$command: exit code") or diag($out, $err);
		like($err, qr/\A\S[^\n]+\n\z/, "$command: one sentence");
	}
};

matrix 'restart keeps the port and changes the processes' => sub ($mode) {
	my $server = start_server(app => $app);
	my @before = $server->worker_pids;
	my ($code, $out, $err) = $server->cli('restart');

	is($code, 0, 'exit code') or return diag($out, $err);
	ok(wait_for(sub { eval { $server->get('/')->status == 200 } }), 'it serves');
	my $status = $server->status or return fail('status');
	isnt($status->{workers}[0]{pid}, $before[0], 'another worker');
	if ($status->{master_pid} != $server->pid) {
		my ($rc) = $server->cli('stop');
		is($rc, 0, 'the new one can be stopped');
		$server->wait_exit;
	}
};

matrix 'SIGINT stops too' => sub ($mode) {
	my $server = start_server(app => $app);

	kill INT => $server->pid;
	is($server->wait_exit, 0, 'exit code');
};

done_testing();
