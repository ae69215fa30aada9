use lib 't/lib';
use Test::Luaserv;

matrix 'events of the server\'s life come once each, in order' => sub ($mode) {
	my $server = start_server(settings => { worker_num => 2 }, app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
for _, event in ipairs { "start", "shutdown", "manager_start", "manager_stop" } do
	server:on(event, function(server) note(event) end)
end
server:on("worker_start", function(server, worker_id) note("worker_start", worker_id, luaserv.role) end)
server:on("worker_stop", function(server, worker_id) note("worker_stop", worker_id) end)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA
	is($server->get('/')->status, 200, 'served');
	ok(wait_for(sub { grep { $_ eq 'start' } $server->notes }), 'start was told');
	is($server->stop, 0, 'exit code');
	my @notes = $server->notes;
	my %at = map { $notes[$_] => $_ } 0 .. $#notes;
	my @wanted = ('start', 'shutdown', 'manager_start', 'manager_stop',
		map { ("worker_start $_ worker", "worker_stop $_") } 0, 1);
	is_deeply([ sort @notes ], [ sort @wanted ], 'each once') or diag(explain(\@notes));
	cmp_ok($at{manager_start} // 99, '<', $at{start} // 0, 'manager_start before start');
	is($notes[-1], 'shutdown', 'shutdown is the last');
};

matrix 'worker_start may wait, and nothing is served before it has ended' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local ready = "too early"
server:on("worker_start", function() luaserv.sleep(0.1) ready = "in time" end)
server:on("request", function(req, res) res:finish(ready .. "\n") end)
server:start()
LUA
	is($server->get('/')->body, "in time\n", 'served afterwards');
};

matrix 'a stop lets requests end, and answers Connection: close' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	if req.path == "/slow" then
		note("inside")
		luaserv.sleep(0.3)
	end
	res:finish("done\n")
end)
server:start()
LUA
	my ($slow, $idle) = map { $server->client } 1 .. 2;
	is($idle->get('/')->status, 200, 'an idle connection');
	$slow->send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
	$server->wait_notes(1);
	kill TERM => $server->pid;
	my $answer = $slow->response;
	is($answer->body, "done\n", 'the request under way is answered');
	ok($answer->closes && $slow->eof, 'and its connection closed');
	ok($idle->eof, 'the idle one too');
	is($server->wait_exit, 0, 'exit code');
	ok(!eval { $server->client }, 'nobody listens any more');
};

matrix 'max_wait_time bounds a stop; a second SIGTERM ends it at once' => sub ($mode) {
	my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	note("inside")
	luaserv.sleep(3600)
end)
server:start()
LUA
	my $server = start_server(app => $app, settings => { max_wait_time => '300ms' });
	my $client = $server->client;
	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	$server->wait_notes(1);
	$server->expect_crash;
	kill TERM => $server->pid;
	ok(defined $server->wait_exit(10), 'bounded');

	$server = start_server(app => $app, settings => { max_wait_time => '1h' });
	$client = $server->client;
	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	$server->wait_notes(1);
	$server->expect_crash;
	kill TERM => $server->pid;
	ok(!wait_for(sub { !alive($server->pid) }, 0.2), 'it waits');
	kill TERM => $server->pid;
	ok(defined $server->wait_exit(10), 'the second one is now');
};

matrix 'what the app knows about itself' => sub ($mode) {
	my $server = start_server(settings => { worker_num => 2, dispatch_mode => 'round' }, app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local s = server
	res:finish(table.concat({ luaserv.role, s.worker_id, s.master_pid, s.manager_pid or 0, s.worker_pid }, " "))
end)
server:start()
LUA
	my $status = $server->status;
	my ($role, $id, $master, $manager, $own) = split ' ', $server->get('/')->body;

	is($role, 'worker', 'role');
	is($master, $server->pid, 'master_pid');
	is($own, $status->{workers}[$id]{pid}, 'worker_pid');
	is($manager, $status->{manager_pid}, 'manager_pid') if $mode eq 'process';
};

done_testing();
