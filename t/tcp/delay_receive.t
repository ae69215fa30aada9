# enable_delay_receive: a connection is not read before server:confirm(fd).
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", enable_delay_receive = true }
local waiting
server:on("connect", function(server, fd)
	note("connect")
	waiting = fd
	if #server:get_client_list() > 1 then server:confirm(waiting) end
end)
server:on("receive", function(server, fd, reactor_id, data)
	note("got", (data:gsub("\n", "")))
	if data == "free\n" then note("freed", tostring(server:confirm(server:get_client_list()[1]))) end
	if data == "none\n" then note("none", select(2, server:confirm(2 ^ 52))) end
end)
server:on("close", function(server, fd, reactor_id, info) note("close", info.by) end)
server:start()
LUA

matrix 'nothing is received before it is confirmed' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $held = $server->client;

	is_deeply([ $server->wait_notes(1) ], ['connect'], 'connect comes at once');
	$held->send("early\n");
	my $other = $server->client;
	$server->wait_notes(2);
	$other->send("none\n");
	is_deeply([ ($server->wait_notes(4))[ 2, 3 ] ], [ 'got none', 'none there is no such connection 1005' ], 'one that was confirmed is read');
	$other->send("free\n");
	is_deeply([ sort +($server->wait_notes(7))[ 4 .. 6 ] ], [ 'freed true', 'got early', 'got free' ], 'then the first one is');
};

matrix 'one that is never confirmed falls to the idle time' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, max_idle_time => '200ms' });
	my $client = $server->client;

	$client->send("early\n");
	$client->recv_all;
	is_deeply([ $server->wait_notes(2) ], [ 'connect', 'close limit' ], 'closed, unread');
};

matrix 'a worker that dies takes its unconfirmed connections with it' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $client = $server->client;
	my ($pid) = $server->worker_pids;

	$server->wait_notes(1);
	$server->expect_crash;
	kill KILL => $pid;
	is($client->recv_all, '', 'closed');
	ok($server->wait_respawn($pid), 'and the worker is replaced');
};

done_testing();
