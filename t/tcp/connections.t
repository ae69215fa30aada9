# Connections of all workers, seen and used from any of them: lists, info, sends, closes, in both modes.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("connect", function(server, fd) server:send(fd, fd .. "\n") end)
server:on("receive", function(server, fd, reactor_id, data)
	local verb, rest = data:match("^(%a+) ?(.*)\n")
	if verb == "who" then
		server:send(fd, server.worker_id .. "\n")
	elseif verb == "list" then
		local all, after, page = {}, 0, nil
		repeat
			page = assert(server:get_client_list(after, tonumber(rest)))
			for _, one in ipairs(page) do all[#all + 1] = one end
			after = page[#page]
		until #page == 0
		server:send(fd, table.concat(all, " ") .. "\n")
	elseif verb == "each" then
		local n = 0
		for one in server:connections() do n = n + 1 end
		server:send(fd, n .. "\n")
	elseif verb == "tell" then
		local results = {}
		for one in server:connections() do
			if one ~= fd then results[#results + 1] = tostring(server:send(one, rest .. "\n")) end
		end
		server:send(fd, table.concat(results, " ") .. "\n")
	elseif verb == "info" then
		local info, message = server:get_client_info(tonumber(rest))
		server:send(fd, (info and table.concat({ info.remote_ip, info.remote_port, info.server_port, tostring(info.closing),
			tostring(os.time() - info.connect_time < 60), tostring(info.uid) }, " ") or message) .. "\n")
	elseif verb == "exists" then
		server:send(fd, tostring(server:exists(tonumber(rest))) .. "\n")
	elseif verb == "bind" then
		server:send(fd, tostring(server:bind(tonumber(rest), "user")) .. "\n")
	elseif verb == "file" then
		server:send(fd, tostring(server:sendfile(tonumber(rest), "$ROOT/data.txt")) .. "\n")
	elseif verb == "drop" then
		server:send(fd, tostring(server:close(tonumber(rest))) .. "\n")
	elseif verb == "big" then
		server:send(fd, tostring(server:send(tonumber(rest), ("z"):rep(300000) .. "\n")) .. "\n")
	elseif verb == "many" then
		for i = 1, 3000 do assert(server:send(tonumber(rest), i .. "\n")) end
		server:send(fd, "done\n")
	end
end)
server:on("close", function(server, fd, reactor_id, info) note("close", fd, info.by, reactor_id, server.worker_id) end)
server:start()
LUA

sub open_clients ($server, $n) {
	my @clients = map { $server->client(timeout => 20) } 1 .. $n;
	my @ids = map { $_->recv_until("\n") =~ s/\n//r } @clients;
	return (\@clients, \@ids);
}

# Two clients of different workers.
sub apart ($clients, $ids) {
	my @workers = map { $_->send("who\n")->recv_until("\n") + 0 } @$clients;
	for my $i (1 .. $#workers) {
		return ($clients->[0], $clients->[$i], $ids->[$i]) if $workers[$i] != $workers[0];
	}
	die "all clients are with one worker\n";
}

matrix 'lists hold the connections of all workers, in order' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3 });
	my ($clients, $ids) = open_clients($server, 25);
	my @sorted = sort { $a <=> $b } @$ids;

	is_string($clients->[0]->send("list $_\n")->recv_until("\n"), "@sorted\n", "in pages of $_") for 3, 10, 1000;
	is($clients->[1]->send("each\n")->recv_until("\n"), "25\n", 'the iterator');
	$clients->[5]->close;
	ok(wait_for(sub { $clients->[1]->send("each\n")->recv_until("\n") eq "24\n" }), 'one that has left is not there');
};

matrix 'the list goes on although the client it stood at has left' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 2 });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	local seen, closed = 0, 0
	for one in server:connections() do
		seen = seen + 1
		if one ~= fd then
			server:close(one, true)
			repeat luaserv.sleep(0.001) until not server:exists(one)
			closed = closed + 1
		end
	end
	server:send(fd, seen .. " " .. closed .. "\n")
end)
server:start()
LUA
	my @clients = map { $server->client } 1 .. 20;

	ok($server->wait_status(sub ($s) { $s->{connections} == 20 }), 'all are there');
	is($clients[0]->send("go\n")->recv_until("\n"), "20 19\n", 'each is seen once');
};

matrix 'connections of other workers can be used' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3 }, files => { 'data.txt' => "from a file\n" });
	my ($clients, $ids) = open_clients($server, 24);
	my ($here, $there, $id) = apart($clients, $ids);

	is($here->send("tell hello\n")->recv_until("\n"), join(' ', ('true') x 23) . "\n", 'all can be sent to');
	is($_->recv_until("\n"), "hello\n", 'and get it') for @$clients[ 1 .. 23 ];
	is($here->send("info $id\n")->recv_until("\n"), '127.0.0.1 ' . $there->local_port . ' ' . $server->port . " false true nil\n", 'known');
	is($here->send("bind $id\n")->recv_until("\n"), "true\n", 'can be named');
	like($here->send("info $id\n")->recv_until("\n"), qr/ user$/, 'which everybody knows');
	is($here->send("exists $id\n")->recv_until("\n"), "true\n", 'exists');
	is($here->send("file $id\n")->recv_until("\n"), "true\n", 'sendfile');
	is($there->recv_until("\n"), "from a file\n", 'arrives');
	is($here->send("big $id\n")->recv_until("\n"), "true\n", 'a long one');
	is(length $there->recv_until("\n"), 300_001, 'arrives whole');
	$here->send("many $id\n");
	is_string($there->recv_until("3000\n"), join('', map { "$_\n" } 1 .. 3000), 'many arrive in order');
	is($here->recv_until("\n"), "done\n", 'none was refused');
	my $worker = $there->send("who\n")->recv_until("\n") + 0;
	is($here->send("drop $id\n")->recv_until("\n"), "true\n", 'close');
	is($there->recv_all, '', 'it is closed');
	is_deeply([ $server->wait_notes(1) ], ["close $id server -1 $worker"], 'its worker is told');
	ok(wait_for(sub { $here->send("exists $id\n")->recv_until("\n") eq "false\n" }), 'and it exists no more');
	is($here->send("info $id\n")->recv_until("\n"), "there is no such connection\n", 'as its info says');
};

matrix 'a worker that dies takes nobody with it' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3 });
	my ($clients, $ids) = open_clients($server, 24);
	my ($victim) = $server->worker_pids;

	$server->expect_crash;
	kill KILL => $victim;
	ok($server->wait_respawn($victim), 'it is replaced');
	my ($there) = grep { $_->open } reverse @$clients;
	ok(wait_for(sub { $there->send("each\n")->recv_until("\n") == $server->status->{connections} }), 'lists are whole again');
	my $new = $server->client;
	my $id = $new->recv_until("\n") =~ s/\n//r;
	is($there->send("exists $id\n")->recv_until("\n"), "true\n", 'who comes now is known to the others');
};

matrix 'a worker that stands still is sent a bounded amount, and gets all of it', base => 'what this is about', sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 2, link_backlog_size => '4m', package_max_length => '1m', socket_buffer_size => '64m' });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("connect", function(server, fd) server:send(fd, fd .. " " .. server.worker_id .. "\n") end)
server:on("receive", function(server, fd, reactor_id, data)
	local size, to = data:match("^(%d+) (%d+)")
	local text, n = ("x"):rep(tonumber(size) - 1) .. "\n", 0
	while n < 5000 do
		local fine, message, code = server:send(tonumber(to), text)
		if not fine then
			return server:send(fd, n .. " " .. code .. "\n")
		end
		n = n + 1
	end
	server:send(fd, n .. " never\n")
end)
server:start()
LUA
	my (%clients, %ids);

	until (keys %clients == 2) {
		my $client = $server->client(timeout => 20);
		my ($id, $worker) = split ' ', $client->recv_until("\n");
		@clients{$worker} = ($client);
		$ids{$worker} = $id;
	}
	my @pids = map { $_->{pid} } sort { $a->{id} <=> $b->{id} } @{ $server->status->{workers} };
	for my $size (10_000, 200_000) {
		freeze($pids[1]);
		my ($n, $code) = split ' ', $clients{0}->send("$size $ids{1}\n")->recv_until("\n");
		kill CONT => $pids[1];
		is($code, 1009, "messages of $size bytes are refused in the end");
		cmp_ok($n * $size, '>', 3_000_000, 'not before the limit');
		cmp_ok($n * $size, '<', 12_000_000, 'nor long behind it');
		is(length $clients{1}->recv($n * $size), $n * $size, 'what was taken arrives when it goes on');
	}
};

matrix 'after a reload all find each other' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });
	my ($clients, $ids) = open_clients($server, 8);

	is(($server->reload)[0], 0, 'reload');
	my ($new, $new_ids) = open_clients($server, 8);
	my @all = sort { $a <=> $b } @$ids, @$new_ids;
	is_string($new->[0]->send("list 5\n")->recv_until("\n"), "@all\n", 'old connections and new ones are listed');
	$new->[0]->send("tell hello\n");
	is($_->recv_until("\n"), "hello\n", 'an old one hears') for @$clients;
};

matrix 'plain handlers know their own worker' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 1, enable_coroutine => 'false' });
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	local fine, why = pcall(server.get_client_list, server)
	server:send(fd, tostring(server:exists(fd)) .. " " .. tostring(server:exists(fd + 2 ^ 24)) .. " " .. why:match("cannot wait") .. "\n")
end)
server:start()
LUA
	is($server->client->send("x")->recv_until("\n"), "true false cannot wait\n", 'and cannot wait for others');
};

done_testing();
