use lib 't/lib';
use Test::Luaserv;

my $why = 'in base mode the master supervises; there is no manager';

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

# The manager that answers, when it is not that one.
sub next_manager ($server, $old) {
	my $status = $server->wait_status(sub {
		my $new = $_->{manager_pid};
		return $new && $new != $old && alive($new);
	});
	return $status ? $status->{manager_pid} : undef;
}

matrix 'ten die under load: no request fails, the workers are the same', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 })->expect_crash;
	my @workers = $server->worker_pids;
	my $manager = $server->status->{manager_pid};
	my $load = $server->load(20);

	for my $n (1 .. 10) {
		$load->wait_ok(50) or fail('requests are answered');
		kill KILL => $manager;
		$manager = next_manager($server, $manager) or return fail("manager $n is replaced");
	}
	pass('each was replaced');
	$load->wait_ok(50) or fail('requests are answered at the end');
	my $result = $load->stop;
	is($result->{failed}, 0, 'no request failed') or diag(explain($result));
	is_deeply([ keys %{ $result->{codes} } ], [200], 'every answer is a 200');
	is_deeply([ $server->worker_pids ], \@workers, 'the workers did not notice');
};

matrix 'the new manager does the old one\'s work', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 })->expect_crash;
	my $manager = $server->status->{manager_pid};

	kill KILL => $manager;
	$manager = next_manager($server, $manager) or return fail('it is replaced');

	my ($worker) = $server->worker_pids;
	kill KILL => $worker;
	ok($server->wait_respawn($worker), 'an adopted worker that dies is started again');
	is(($server->reload(app => $app =~ s/ok/new/r))[0], 0, 'a reload is carried out');
	is($server->get('/')->body, "new\n", 'and serves');
	is($server->stop, 0, 'a stop too');
};

matrix 'worker and manager at once', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 })->expect_crash;
	my $status = $server->status;

	kill KILL => $status->{manager_pid}, $status->{workers}[0]{pid};
	ok(next_manager($server, $status->{manager_pid}), 'the manager is replaced');
	ok($server->wait_respawn($status->{workers}[0]{pid}), 'so is the worker');
	is($server->get('/')->status, 200, 'served') for 1 .. 5;
};

done_testing();
