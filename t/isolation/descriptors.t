# Descriptors run out: those who are here are served on, others wait or are refused, and it passes.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

matrix 'a limit of open files' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_connection => 1000 },
		under => [ 'prlimit', '--nofile=64:64', '--' ]);
	my $early = $server->client;

	is($early->get('/')->status, 200, 'an early client');
	my @crowd = map { $server->client } 1 .. 80;
	ok($server->wait_log(qr/warn .*no connection can be accepted: Too many open files; .*ulimit -n/), 'the limit is met, and told');
	is($early->get('/')->status, 200, 'the early client is served on');
	my ($code, $out, $err) = $server->cli('status');
	is($code, 0, 'the server can be asked') or diag($out, $err);

	$_->close for @crowd;
	ok(wait_for(sub { eval { $server->get('/')->status == 200 } }), 'when they have gone, others are served');
	is($early->get('/')->status, 200, 'and the early one still');
	ok($server->wait_status(sub ($s) { $s->{connections} == 1 }), 'no connection is left over');
};

matrix 'a worker that dies meanwhile is replaced' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_connection => 1000 },
		under => [ 'prlimit', '--nofile=64:64', '--' ])->expect_crash;
	my ($pid) = $server->worker_pids;
	my @crowd = map { $server->client } 1 .. 80;

	ok($server->wait_log(qr/no connection can be accepted/), 'the limit is met');
	kill KILL => $pid;
	ok($server->wait_status(sub ($s) { $s->{workers}[0]{pid} != $pid && $s->{workers}[0]{state} eq 'ready' }), 'a new one comes');
	$_->close for @crowd;
	ok(wait_for(sub { eval { $server->get('/')->status == 200 } }), 'and serves');
};

done_testing();
