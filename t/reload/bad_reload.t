use lib 't/lib';
use Test::Luaserv;

my $good = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:set { worker_num = 1 }
server:on("request", function(req, res) res:finish("accepted\n") end)
server:start()
LUA

# The good one with something more before start().
sub with ($text) { return $good =~ s/(?=server:start)/$text\n/r }

my @bad = (
	[ 'a syntax error', "local x = 1\nlocal y = = 2\n", qr/app\.lua:2/ ],
	[ 'a run-time error at load', "local x\n\nx.y = 1\n", qr/app\.lua:3.*'x'/ ],
	[ 'a loop at load', "while true do end\n", qr/eval_timeout|too long|did not end|500 ?ms|app\.lua:1/ ],
	[ 'an error in worker_start', with('server:on("worker_start", function() error("no") end)'), qr/app\.lua:4: no/ ],
	[ 'an error in selftest', with('server:on("selftest", function() error("not well") end)'),
		qr/app\.lua:4: not well/ ],
	[ 'a worker_start that does not end', with('server:on("worker_start", function() while true do end end)'), qr/./ ],
	[ 'another worker_num', $good =~ s/worker_num = 1/worker_num = 2/r, qr/worker_num/ ],
	[ 'another port', $good =~ s/\$PORT/\$PORT_2/r, qr/port|listen/i ],
	[ 'an unknown setting', $good =~ s/worker_num/worker_nun/r, qr/worker_nun.*worker_num/s ],
	[ 'no handler', $good =~ s/server:on.*\n//r, qr/request/ ],
	[ 'no start', $good =~ s/server:start.*\n//r, qr/start/ ],
	[ 'a process that leaves', "os.exit(0)\n", qr/./ ],
);

matrix 'a bad reload is refused with its reason, and the old generation serves on' => sub ($mode) {
	my $server = start_server(app => $good, settings => { worker_num => undef, eval_timeout => '500ms',
		start_timeout => '1s', max_execution_time => '500ms' });
	my $load = $server->load(5);
	my @pids = $server->worker_pids;

	$server->expect_crash;
	for my $case (@bad) {
		my ($what, $text, $pattern) = @$case;
		my ($code, $out, $err) = $server->reload(app => $text);
		is($code, 1, "$what: exit code") or diag($out, $err);
		like($err, $pattern, "$what: reason");
		is($server->get('/')->body, "accepted\n", "$what: the old code serves");
	}
	$load->wait_ok(20);
	my $result = $load->stop;
	is($result->{failed}, 0, 'no request failed') or diag(explain($result));
	is_deeply([ keys %{ $result->{codes} } ], [200], 'every answer is a 200');
	is_deeply([ $server->worker_pids ], \@pids, 'the worker is the same');
	is($server->status->{generation}, 1, 'the generation too');
	is(($server->reload(app => $good =~ s/accepted/mended/r))[0], 0, 'a good one is accepted afterwards');
	is($server->get('/')->body, "mended\n", 'and serves');
};

matrix 'a script that has gone' => sub ($mode) {
	my $server = start_server(app => $good);

	unlink $server->app_path;
	my ($code, $out, $err) = $server->reload;
	is($code, 1, 'exit code');
	like($err, qr/app\.lua/, 'reason');
	is($server->get('/')->body, "accepted\n", 'the old code serves');
};

done_testing();
