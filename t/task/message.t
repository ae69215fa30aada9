# send_message: any plain value to any process, in order, bounded, and not lost when the receiver dies.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", dispatch_mode = "fixed", message_queue_size = "64k",
	send_timeout = "200ms", worker_max_deaths = 1000 }
local asks = {}
function asks.all()
	local out = {}
	for id = 0, 3 do
		if id ~= server.worker_id then out[#out + 1] = tostring(server:send_message({ n = id, text = "hello" }, id)) end
	end
	return table.concat(out, " ")
end
function asks.broadcast() return server:broadcast({ n = "b", text = "all" }) end
function asks.large(to) return server:send_message(("x"):rep(5000000), tonumber(to)) end
function asks.many(n)
	local to = 1 - server.worker_id
	for i = 1, tonumber(n) do
		local ok, message = server:send_message(i, to)
		while not ok do ok, message = server:send_message(i, to) end
	end
	return "sent"
end
function asks.fill()
	local to = 1 - server.worker_id
	for i = 1, 10000 do
		local ok, message, code = server:send_message(("f"):rep(100), to)
		if not ok then return message .. " " .. code .. " " .. tostring(i > 100 and i < 2000) end
	end
	return "took all"
end
function asks.wrong()
	local out = {}
	for _, id in ipairs { server.worker_id, 4, -1 } do
		out[#out + 1] = select(2, pcall(server.send_message, server, "x", id))
	end
	out[#out + 1] = select(2, pcall(server.send_message, server, { at = { print } }, 1 - server.worker_id))
	return table.concat(out, "; ")
end
server:on("receive", function(server, fd, reactor_id, line)
	local verb, rest = line:match("(%a+) ?(%S*)")
	luaserv.go(function()
		server:send(fd, (tostring((asks[verb](rest))):gsub("\n", " ")) .. "\n")
	end)
end)
server:on("task", function() end)
server:on("pipe_message", function(server, src, data)
	if type(data) == "table" then note(server.worker_id, src ~= server.worker_id, data.n, data.text)
	elseif type(data) == "string" and #data > 1000 then note("large", #data)
	elseif type(data) == "number" then note(data)
	end
end)
server:start()
LUA
$app =~ s/note\(server\.worker_id, src ~= server\.worker_id,/note(server.worker_id, tostring(src ~= server.worker_id),/;

my $settings = { worker_num => 2, task_worker_num => 2 };

matrix 'to workers and task workers' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings);
	my $client = $server->client;

	is($client->send("all\n")->recv_until("\n"), "true true true\n", 'accepted');
	my @notes = sort $server->wait_notes(3);
	is(scalar(@notes), 3, 'each has come once');
	like($_, qr/^(\d) true \g1 hello$/, 'to the process it was for') for @notes;
	is($client->send("broadcast\n")->recv_until("\n"), "true\n", 'to all other workers');
	like(($server->wait_notes(4))[3], qr/^[01] true b all$/, 'which is one');
	is($client->send("large 2\n")->recv_until("\n"), "true\n", 'a large one');
	is(($server->wait_notes(5))[4], 'large 5000000', 'whole');
	like($client->send("wrong\n")->recv_until("\n"),
		qr/process [01] is this one itself; .*there is no process 4; they are 0 to 3; .*there is no process -1; .*data\.at\[1\] is a function/,
		'wrong use');
};

matrix 'order is kept, also over large numbers' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings);

	is($server->client->send("many 5000\n")->recv_until("\n"), "sent\n", 'sent');
	is(join(' ', $server->wait_notes(5000)), join(' ', 1 .. 5000), 'all, in order');
};

matrix 'a receiver that does not read holds its sender back' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings);
	my $client = $server->client;
	my @pids = $server->worker_pids;
	my $own = $client->send("all\n")->recv_until("\n") && $server->wait_notes(3);
	my ($sender) = grep { my $id = $_; !grep { /^$id / } $server->notes } 0, 1;

	freeze($pids[ 1 - $sender ]);
	is($client->send("fill\n")->recv_until("\n"), "timeout 110 true\n", 'the sender waits for send_timeout, then it is told');
	kill CONT => $pids[ 1 - $sender ];
	is($client->send("many 10\n")->recv_until("\n"), "sent\n", 'afterwards there is room');
	is(join(' ', ($server->wait_notes(13))[ 3 .. 12 ]), join(' ', 1 .. 10), 'and all has come');
};

matrix 'what a process that dies has not begun goes to its successor' => sub ($mode) {
	my $server = start_server(app => $app, settings => $settings)->expect_crash;
	my $client = $server->client(timeout => 30);
	my $n = 20_000;
	my $kills = 5;

	$client->send("all\n")->recv_until("\n");
	$server->wait_notes(3);
	my ($sender) = grep { my $id = $_; !grep { /^$id / } $server->notes } 0, 1;
	$client->send("many $n\n");
	for my $kill (1 .. $kills) {
		my $before = 3 + ($kill - 1) * 3000;
		$server->wait_notes($before + 1000);
		my $pid = ($server->worker_pids)[ 1 - $sender ];
		kill KILL => $pid if $pid;
		$server->wait_respawn($pid) if $pid;
	}
	is($client->recv_until("\n"), "sent\n", 'all were accepted');
	ok(wait_for(sub { my @got = $server->notes; @got && $got[-1] eq $n }), 'the last has come');
	my @got = grep { /^\d+$/ } $server->notes;
	my $last = 0;
	my $bad = grep { my $wrong = $_ <= $last; $last = $_; $wrong } @got;
	is($bad, 0, 'none twice, and in order');
	cmp_ok($n - @got, '<=', $kills, 'none is missing but those that were being handled');
};
# A worker of the old generation, which has a handler, still sends to slots whose new workers have none.
matrix 'what comes where no handler is any more is dropped and said, and its sender is not kept waiting' => sub ($mode) {
	my $two = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", dispatch_mode = "fixed", message_queue_size = "64k", max_wait_time = "20s" }
server:on("receive", function(server, fd)
	note("waits", server.worker_id)
	local file
	repeat luaserv.sleep(0.01) file = io.open("$ROOT/go") until file
	local accepted = 0
	for i = 1, 500 do
		if server:send_message(("m"):rep(1000), 1 - server.worker_id) then accepted = accepted + 1 end
	end
	server:send(fd, accepted .. "\n")
end)
server:on("pipe_message", function() end)
server:start()
LUA
	my $server = start_server(app => $two, settings => { worker_num => 2 });
	my $client = $server->client(timeout => 30)->send("go\n");

	$server->wait_notes(1);
	my ($code) = $server->reload(app => $two =~ s/server:on\("pipe_message", function\(\) end\)\n//r);
	is($code, 0, 'reloaded');
	append_file($server->root . '/go', "now\n");
	is($client->recv_until("\n"), "500\n", 'all were accepted, in a queue of 64 KiB');
	ok($server->wait_log(qr/a message from slot \d is dropped: this generation of the script has no pipe_message handler/), 'and it is said what became of them');
	$server->forget_log;
};
done_testing();
