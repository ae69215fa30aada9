# Heartbeat: only what a client sends counts; who is protected is spared.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	if data == "protect\n" then
		server:send(fd, tostring(server:protect(fd)) .. "\n")
	elseif data == "expose\n" then
		server:send(fd, tostring(server:protect(fd, false)) .. "\n")
	elseif data == "feed\n" then
		server:tick(50, function(id) if not server:send(fd, "fed\n") then server:clear(id) end end)
	elseif data:find "^silent" then
		local who = tonumber(data:match "%d+")
		server:protect(who, false)
		local silent = server:heartbeat(data:find "close" ~= nil)
		server:send(fd, #silent .. " " .. tostring(silent[1] == who) .. "\n")
	elseif data == "id\n" then
		server:send(fd, fd .. "\n")
	elseif data == "flood\n" then
		for i = 1, 64 do
			server:send(fd, ("x"):rep(262144))
		end
	elseif data == "list\n" then
		server:send(fd, #server:heartbeat() .. "\n")
	elseif data == "ping\n" then
		server:send(fd, "pong\n")
	end
end)
server:on("close", function(server, fd, reactor_id, info)
	note(info.by, info.reason, tostring(reactor_id >= 0))
end)
server:start()
LUA

matrix 'who sends nothing is closed, although bytes are sent to him' => sub ($mode) {
	my $server = start_server(app => $app, settings => { heartbeat_idle_time => '400ms' });
	my $silent = $server->client;
	my $fed = $server->client;
	my $lively = $server->client;

	$fed->send("feed\n");
	ok(wait_for(sub { $lively->send("ping\n"); $lively->recv_until("\n"); return $server->notes >= 2 }, 10, 0.1),
		'two are closed while a third one is asked');
	is_deeply([ $server->wait_notes(2) ], [ ('heartbeat heartbeat true') x 2 ], 'by heartbeat, which is no close by the app');
	is($silent->recv_all, '', 'the silent one');
	like($fed->recv_all, qr/\A(?:fed\n)+\z/, 'the fed one');
	$lively->send("list\n");
	is($lively->recv_until("\n"), "0\n", 'the third one lives, and nobody is silent');
};

matrix 'a protected connection is spared until it is exposed again' => sub ($mode) {
	my $server = start_server(app => $app, settings => { heartbeat_idle_time => '200ms' });
	my $safe = $server->client;
	my $other = $server->client;

	$safe->send("protect\n");
	is($safe->recv_until("\n"), "true\n", 'protect');
	$server->wait_notes(1);
	is($other->recv_all, '', 'another one is closed');
	ok($server->wait_status(sub ($s) { $s->{connections} == 1 }), 'the protected one is left');
	$safe->send("list\n");
	is($safe->recv_until("\n"), "0\n", 'and served; it is not listed as silent');
	$safe->send("expose\n");
	is($safe->recv_until("\n"), "true\n", 'expose');
	is_deeply([ ($server->wait_notes(2))[1] ], ['heartbeat heartbeat true'], 'it is closed in its turn');
};

matrix 'heartbeat() names who was silent too long' => sub ($mode) {
	my $server = start_server(app => $app, settings => { heartbeat_idle_time => '300ms' });
	my $safe = $server->client;
	my $id = $safe->send("id\n")->recv_until("\n") =~ s/\n//r;

	is($safe->send("protect\n")->recv_until("\n"), "true\n", 'protect');
	is($server->client->recv_all, '', 'one that came later is closed');
	my $asker = $server->client;
	is($asker->send("silent $id\n")->recv_until("\n"), "1 true\n", 'the protected one is silent, too, once it is exposed');
	is($safe->recv_all, '', 'and it is closed');
	is_deeply([ $server->wait_notes(2) ], [ ('heartbeat heartbeat true') x 2 ], 'by the heartbeat');
};

# Who does not read what he is sent is left to write_timeout: only the call closes him.  All of it waits in one place, so that he
# never seems to read in between.
matrix 'heartbeat(true) closes who was silent too long' => sub ($mode) {
	my $server = start_server(app => $app, settings => { heartbeat_idle_time => '300ms', socket_buffer_size => '64m' });
	my $deaf = $server->client;
	my $id = $deaf->send("id\n")->recv_until("\n") =~ s/\n//r;

	$deaf->send("flood\n");
	is($server->client->recv_all, '', 'one that came later is closed');
	my $asker = $server->client;
	is($asker->send("silent $id close\n")->recv_until("\n"), "1 true\n", 'one that does not read is silent');
	like($deaf->recv_all, qr/\Ax+\z/, 'and it is closed when it has read');
	ok(wait_for(sub { grep { /^server / } $server->wait_notes(1) }), 'by the call');
};

matrix 'the check interval alone stands for half the idle time' => sub ($mode) {
	my $server = start_server(app => $app, settings => { heartbeat_check_interval => '100ms' });
	my $client = $server->client;

	is_deeply([ $server->wait_notes(1) ], ['heartbeat heartbeat true'], 'it is closed');
};

matrix 'HTTP has its own time limits' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { heartbeat_idle_time => '100ms' });
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	luaserv.sleep(0.3)
	res:finish("ok\n")
end)
server:start()
LUA
	is($server->get('/')->body, "ok\n", 'an answer may take longer');
};

done_testing();
