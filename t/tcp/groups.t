# Groups: what is published reaches every member of every worker once; membership ends with the connection.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	local verb, group, rest = data:match("^(%a+) (%S+) ?(.*)\n")
	if verb == "join" then
		server:send(fd, tostring(server:join(fd, group)) .. "\n")
	elseif verb == "leave" then
		server:send(fd, tostring(server:leave(fd, group)) .. "\n")
	elseif verb == "say" then
		note("said", tostring(server:publish(group, rest .. "\n")))
	elseif verb == "others" then
		note("said", tostring(server:publish(group, rest .. "\n", nil, fd)))
	elseif verb == "big" then
		note("said", tostring(server:publish(group, ("x"):rep(tonumber(rest)) .. "\n")))
	elseif verb == "wrong" then
		local out = {}
		for _, name in ipairs { "", ("n"):rep(256) } do out[#out + 1] = select(2, pcall(server.join, server, fd, name)) end
		local value, message, code = server:join(2 ^ 52, "g")
		out[#out + 1] = tostring(value) .. " " .. message .. " " .. code
		out[#out + 1] = select(2, server:publish("g", ""))
		server:send(fd, table.concat(out, "; "):gsub("\n", " ") .. "\n")
	end
end)
server:start()
LUA

sub clients_in ($server, $group, $n) {
	my @clients = map { $server->client } 1 .. $n;
	is($_->send("join $group\n")->recv_until("\n"), "true\n", 'joined') for @clients;
	return @clients;
}

matrix 'all members get what is published, over all workers' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3 });
	my @members = clients_in($server, 'room', 9);
	my @others = clients_in($server, 'elsewhere', 2);
	my $outside = $server->client;

	$outside->send("say room hello\n");
	is($_->recv_until("\n"), "hello\n", 'a member hears it') for @members;
	$members[0]->send("others room psst\n");
	is($_->recv_until("\n"), "psst\n", 'the others hear it') for @members[ 1 .. 8 ];
	$outside->send("big room 100000\n");
	is(length $_->recv_until("\n"), 100_001, 'a long one comes whole') for @members;
	$members[1]->send("leave room\n");
	is($members[1]->recv_until("\n"), "true\n", 'left');
	$members[2]->close;
	$outside->send("say room again\n");
	is($_->recv_until("\n"), "again\n", 'members hear it') for @members[ 0, 3 .. 8 ];
	ok($members[1]->quiet, 'who has left does not');
	ok($_->quiet(0.01), 'nor do members of another group') for @others;
	ok($outside->quiet(0.01), 'nor one that is in none');
};

matrix 'one who reads nothing does not hold up the others, nor grow the server' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, socket_buffer_size => '256k' });
	my $slow = $server->client(rcvbuf => 4096);
	my @members = clients_in($server, 'room', 3);
	my $speaker = $server->client;

	is($slow->send("join room\n")->recv_until("\n"), "true\n", 'a slow one joins');
	for my $i (1 .. 60) {
		$speaker->send("big room 100000\n");
		for my $client (@members) {
			length $client->recv_until("\n") == 100_001 or die "message $i is torn";
		}
	}
	pass('the others got everything');
	ok($server->wait_log(qr/127\.0\.0\.1 has not read what waits for it, socket_buffer_size is used up; it does not get what is published/),
		'the log says what became of the slow one');
	cmp_ok($server->status->{publish_skipped}, '>', 0, 'counted');
	my $whole = 0;
	while ($whole < 3 && length $slow->recv_until("\n") == 100_001) { $whole++ }
	cmp_ok($whole, '>=', 1, 'what the slow one gets comes whole');
};

matrix 'socket_buffer_policy close ends a slow member' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, socket_buffer_size => '256k', socket_buffer_policy => 'close' });
	my ($member) = clients_in($server, 'room', 1);
	my $slow = $server->client(rcvbuf => 4096);

	is($slow->send("join room\n")->recv_until("\n"), "true\n", 'a slow one joins');
	ok(wait_for(sub {
		$member->send("big room 100000\n");
		$member->recv_until("\n");
		return $server->status->{connections} == 1;
	}, 20, 0), 'it is closed');
};

matrix 'wrong use is told' => sub ($mode) {
	my $server = start_server(app => $app);
	my $answer = $server->client->send("wrong x\n")->recv_until("\n");

	like($answer, qr/the name of a group has 1 to 255 bytes, this one has 0; .*this one has 256; nil there is no such connection 1005; there is nothing to send/, 'sentences');
};

matrix 'membership survives a reload in process mode', process => 'in base mode connections stay with the old worker', sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });
	my @members = clients_in($server, 'room', 4);

	is(($server->reload)[0], 0, 'reload');
	$server->client->send("say room hello\n");
	is($_->recv_until("\n"), "hello\n", 'a member hears it') for @members;
};

done_testing();
