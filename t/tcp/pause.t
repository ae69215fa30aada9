# server:pause and resume, and what get_client_info tells.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
local first
server:on("connect", function(server, fd) first = first or fd end)
server:on("receive", function(server, fd, reactor_id, data)
	if data == "pause\n" then
		note("pause", tostring(server:pause(fd)))
	elseif data == "resume\n" then
		note("resume", tostring(server:resume(first)))
	elseif data == "info\n" then
		local info = server:get_client_info(fd)
		server:send(fd, table.concat({ info.remote_ip, info.remote_port, info.server_port, info.reactor_id,
			info.recv_queued_bytes, info.send_queued_bytes, tostring(info.closing),
			tostring(info.last_recv_time >= info.connect_time and os.time() - info.connect_time < 60) }, " ") .. "\n")
	elseif data == "gone\n" then
		local results = {}
		for _, method in ipairs { "pause", "resume", "get_client_info" } do
			local value, message, code = server[method](server, 2 ^ 52)
			results[#results + 1] = tostring(value) .. " " .. message .. " " .. code
		end
		server:send(fd, table.concat(results, "; ") .. "\n")
	else
		note("got", (data:gsub("\n", "")))
	end
end)
server:on("close", function(server, fd) note("close") end)
server:start()
LUA

matrix 'a paused connection is not read until it is resumed' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;
	my $other = $server->client;

	$client->send("pause\n");
	$server->wait_notes(1);
	$client->send("held\n");
	$other->send("free\n");
	is_deeply([ $server->wait_notes(2) ], [ 'pause true', 'got free' ], 'others are read');
	$other->send("resume\n");
	is_deeply([ ($server->wait_notes(4))[ 2, 3 ] ], [ 'resume true', 'got held' ], 'what waited is read then');
};

matrix 'a paused connection can be sent to and closed' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;

	$client->send("pause\n");
	$server->wait_notes(1);
	$client->abort;
	is_deeply([ ($server->wait_notes(2))[1] ], ['close'], 'a reset ends it all the same');
};

matrix 'messages that had come before the pause wait, too' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 1 });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	note("got", (data:gsub("\n", "")))
	if data == "1\n" then
		server:pause(fd)
		server:after(50, function() note("resumed") server:resume(fd) end)
	end
end)
server:start()
LUA
	$server->client->send(join '', map { "$_\n" } 1 .. 4);
	is_deeply([ $server->wait_notes(5) ], [ 'got 1', 'resumed', 'got 2', 'got 3', 'got 4' ], 'in order, behind the resume');
};

matrix 'a pause is no silence of the client' => sub ($mode) {
	my $server = start_server(app => $app, settings => { heartbeat_idle_time => '200ms' });
	my $client = $server->client;
	my $silent = $server->client;

	$client->send("pause\n");
	$server->wait_notes(1);
	$client->send("held\n");
	is($silent->recv_all, '', 'a silent one is closed');
	is_deeply([ ($server->wait_notes(2))[1] ], ['close'], 'and told');
	my $third = $server->client;
	is($third->recv_all, '', 'another time later, too');
	$server->wait_notes(3);
	my $other = $server->client;
	$other->send("resume\n");
	is_deeply([ sort +($server->wait_notes(5))[ 3, 4 ] ], [ 'got held', 'resume true' ], 'the paused one is there');
};

matrix 'get_client_info' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;

	$client->send("info\n");
	is($client->recv_until("\n"), '127.0.0.1 ' . $client->local_port . ' ' . $server->port . " 0 0 0 false true\n", 'all it tells');
	$client->send("gone\n");
	is($client->recv_until("\n"), join('; ', ('nil there is no such connection 1005') x 3) . "\n", 'of nobody: an error value');
};

done_testing();
