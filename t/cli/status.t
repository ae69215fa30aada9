use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/wait" then luaserv.sleep(60) end
	res:finish("ok\n")
end)
server:start()
LUA

matrix 'status --json has what api.md promises' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2, max_wait_time => '100ms' });
	my $client = $server->client;
	$client->get('/') for 1 .. 5;
	my $status = $server->status;

	for my $name (qw(version mode generation master_pid manager_pid uptime connections accepted closed requests
		listeners reactors workers)) {
		ok(exists $status->{$name}, $name);
	}
	is($status->{mode}, $mode, 'mode');
	is($status->{master_pid}, $server->pid, 'master');
	is($status->{generation}, 1, 'generation');
	is($status->{connections}, 1, 'connections');
	cmp_ok($status->{requests}, '>=', 5, 'requests');
	is($status->{listeners}[0]{port}, $server->port, 'listener');
	is($status->{listeners}[0]{protocol}, 'http', 'its protocol');
	is(scalar @{ $status->{workers} }, 2, 'workers');
	for my $worker (@{ $status->{workers} }) {
		ok(exists $worker->{$_}, "worker $worker->{id}: $_")
			for qw(id pid state generation requests in_flight coroutines lua_bytes restarts);
		is($worker->{state}, 'ready', 'state');
		ok(alive($worker->{pid}), 'lives');
		cmp_ok($worker->{lua_bytes}, '>', 10_000, 'has memory');
		is($worker->{restarts}, 0, 'was never restarted');
	}
};

matrix 'requests under way and coroutines are counted' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_wait_time => '100ms' });
	my @clients = map { $server->client } 1 .. 3;

	$_->send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") for @clients;
	ok($server->wait_status(sub { $_->{workers}[0]{in_flight} == 3 }), 'in flight');
	ok($server->wait_status(sub { $_->{workers}[0]{coroutines} >= 3 }), 'coroutines');
	$_->abort for @clients;
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'the connections go');
	$server->expect_crash; # the handlers sleep on; they are killed at the stop
};

matrix 'status for people' => sub ($mode) {
	my $server = start_server(app => $app);
	my ($code, $out, $err) = $server->cli('status');

	is($code, 0, 'exit code') or diag($err);
	like($out, qr/\b@{[ $server->pid ]}\b/, 'names the master');
};

matrix 'the server is found by its script, by its pid file, or alone in the folder' => sub ($mode) {
	my $server = start_server(app => $app);

	for my $how ([ '-s', $server->app_path ], [ '-p', $server->pid_path ], []) {
		my ($code, $out, $err) = $server->cli_bare('status', '--json', @$how);
		is($code, 0, "status @$how") or diag($err);
		is(eval { JSON::PP::decode_json($out)->{master_pid} }, $server->pid, 'the right one');
	}
};

matrix 'reopen begins a new log file' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 2 });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) error("for the log") end)
server:start()
LUA
	my $path = $server->log_path;

	$server->get('/');
	ok($server->wait_log(qr/for the log/), 'the old file is written to');
	rename $path, "$path.1" or die "rename: $!";
	my ($code, $out, $err) = $server->cli('reopen');
	is($code, 0, 'exit code') or diag($err);
	ok(wait_for(sub { -e $path }), 'there is a new file');
	$server->forget_log;
	ok(wait_for(sub { $server->get('/'); $server->log =~ /for the log/ }), 'workers write to it');
};

done_testing();
