# A task worker that is started while the server stops: it does what still waits, and leaves.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local function exists(path) local f = io.open(path) if f then f:close() end return f ~= nil end
if luaserv.role == "task" and exists("$ROOT/slow") then
	io.open("$ROOT/loading", "w"):close()
	while not exists("$ROOT/go") do end
end
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", max_wait_time = "60s" }
server:on("receive", function(server, fd, reactor_id, line)
	assert(server:task("late"))
	server:send(fd, "given\n")
end)
server:on("task", function(server, id, src, data) note(data) end)
server:start()
LUA

matrix 'a task worker that is started while the server stops' => sub ($mode) {
	for my $ipc (1, 2) {
		my $server = start_server(app => $app, settings => { task_worker_num => 1, task_ipc_mode => $ipc })->expect_crash;
		my ($pid) = map { $_->{pid} } @{ $server->status->{tasks} };

		spew($server->root . '/slow', '');
		kill KILL => $pid;
		ok(wait_for(sub { -e $server->root . '/loading' }), "mode $ipc: another one loads the app");
		is($server->client->send("give\n")->recv_until("\n"), "given\n", 'a task waits for it');
		kill TERM => $server->pid;
		ok($server->wait_status(sub { $_->{workers}[0]{state} eq 'draining' }), 'the server stops');
		spew($server->root . '/go', '');
		is_deeply([ $server->wait_notes(1) ], ['late'], 'the task is done');
		is($server->wait_exit(10), 0, 'and the server has stopped');
	}
};
done_testing();
