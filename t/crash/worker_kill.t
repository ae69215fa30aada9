use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	if req.path == "/slow" then note("inside") luaserv.sleep(60) end
	if req.path == "/begun" then res:write("begun\n") luaserv.sleep(60) end
	res:finish("ok\n")
end)
server:start()
LUA

my $why = 'in base mode a worker owns its connections';

matrix 'a dead worker closes no connection; only requests inside answer 502', process => $why, sub ($mode) {
	my $server = start_server(app => $app)->expect_crash;
	my ($pid) = $server->worker_pids;
	my @idle = map { $server->client } 1 .. 10;
	my @inside = map { $server->client } 1 .. 5;

	$_->get('/') for @idle;
	$_->send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") for @inside;
	$server->wait_notes(5);
	kill KILL => $pid;
	is($_->response->status, 502, 'a request inside') for @inside;
	ok($server->wait_respawn($pid), 'a worker is back');
	is($_->get('/')->status, 200, 'an idle connection serves on') for @idle;
	is(scalar(grep { !$_->open } @idle), 0, 'no connection was closed');
	is($server->status->{workers}[0]{restarts}, 1, 'the restart is counted');
	like($server->log, qr/died by SIGKILL/, 'the log says how it died');
};

matrix 'an answer that has begun is cut so that the client notices' => sub ($mode) {
	my $server = start_server(app => $app)->expect_crash;
	my ($pid) = $server->worker_pids;
	my $client = $server->client;

	$client->send("GET /begun HTTP/1.1\r\nHost: a\r\n\r\n");
	$client->recv_until("begun\n");
	kill KILL => $pid;
	unlike($client->recv_all, qr/\r\n0\r\n\r\n\z/, 'no last chunk, but the end');
	ok($server->wait_respawn($pid), 'a worker is back');
};

matrix 'killed at random under load: nobody hangs, only what was inside fails', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3, worker_max_deaths => 1000 });
	my $load = $server->load(30);
	my $kills = 12;

	$server->expect_crash;
	for (1 .. $kills) {
		$load->wait_ok(50) or fail('requests are answered');
		my @pids = $server->worker_pids;
		my $pid = $pids[ rand @pids ];
		next if !$pid;
		kill KILL => $pid;
		my $noticed = $server->wait_status(sub { !grep { $_->{pid} == $pid } @{ $_->{workers} } });
		ok($noticed, 'its death is noticed');
	}
	$load->wait_ok(100) or fail('requests are answered at the end');
	my $result = $load->stop;
	is($result->{failed}, 0, 'every request got a clean answer') or diag(explain($result));
	is_deeply([ grep { $_ != 200 && $_ != 502 } keys %{ $result->{codes} } ], [], '200 or 502');
	cmp_ok($result->{codes}{502} // 0, '<=', $kills * 30, '502 only for what was inside');
	ok($server->wait_respawn(0), 'three workers are there');
};

matrix 'the other workers serve on, and the dead one is replaced', base => 'see above', sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 })->expect_crash;
	my @pids = $server->worker_pids;

	kill KILL => $pids[0];
	ok($server->wait_respawn($pids[0]), 'a worker is back');
	is($server->get('/')->status, 200, 'served') for 1 .. 10;
	my ($other) = grep { $_ == $pids[1] } $server->worker_pids;
	is($other, $pids[1], 'the other one is the same');
};

matrix 'raw connections are kept for the successor', process => $why, sub ($mode) {
	my $server = start_server(settings => { protocol => 'eof', package_eof => '\n' }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA
	my ($pid) = $server->worker_pids;
	my $client = $server->client;

	$server->expect_crash;
	is($client->send("one\n")->recv(4), "one\n", 'before');
	kill KILL => $pid;
	ok($server->wait_respawn($pid), 'a worker is back');
	is($client->send("two\n")->recv(4), "two\n", 'after');
};

matrix 'what a dead worker had not taken is handled by its successor', process => $why, sub ($mode) {
	my $server = start_server(settings => { worker_num => 2, protocol => 'eof', package_eof => '\n' }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, server.worker_pid .. " " .. data) end)
server:start()
LUA
	my %client_of = map { ($_->send("one\n")->recv_until("\n") =~ /^(\d+)/)[0] => $_ } map { $server->client } 1 .. 2;
	my ($pid, $other) = keys %client_of;

	$server->expect_crash;
	freeze($pid);
	$client_of{$pid}->send("two\nthree\n");
	$client_of{$other}->send("two\n")->recv_until("\n"); # so the one reactor has read both
	kill KILL => $pid;
	like($client_of{$pid}->recv_until("three\n"), qr/\A(?!$pid)(\d+) two\n\1 three\n\z/, 'in order, by another process');
	ok($server->wait_respawn($pid), 'its successor');
};

matrix 'worker_error_policy = close closes them', process => $why, sub ($mode) {
	my $server = start_server(settings => { worker_error_policy => 'close' }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:on("worker_error", function(server, worker_id, pid, exit_code, signal)
	note("worker_error", worker_id, signal)
end)
server:start()
LUA
	my ($pid) = $server->worker_pids;
	my $client = $server->client;

	$server->expect_crash;
	is($client->send('one')->recv(3), 'one', 'before');
	kill KILL => $pid;
	is($client->recv_all, '', 'closed');
	is_deeply([ $server->wait_notes(1) ], ['worker_error 0 9'], 'worker_error tells in the manager');
};

done_testing();
