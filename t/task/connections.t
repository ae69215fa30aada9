# Connections are within reach of task workers, too.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use IO::Socket::IP;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", heartbeat_idle_time = "60s" }
local udp = server:listen("127.0.0.1", $PORT_2, "udp")
udp:on("packet", function(server, data, client) server:task { packet = data, client = client } end)
server:on("receive", function(server, fd, reactor_id, line)
	server:task { fd = fd, verb = line:sub(1, -2) }
end)
server:on("close", function(server, fd, reactor_id, info) note("closed", info.by) end)
local verbs = {}
function verbs.send(fd) return server:send(fd, "from " .. luaserv.role .. "\n") end
function verbs.file(fd) return server:sendfile(fd, "$ROOT/data.txt") end
function verbs.exists(fd) server:send(fd, tostring(server:exists(fd)) .. tostring(server:exists(fd + 1)) .. "\n") end
function verbs.list(fd)
	local n = 0
	for _ in server:connections() do n = n + 1 end
	server:send(fd, n .. " " .. #server:get_client_list() .. " " .. server:stats().connection_num .. "\n")
end
function verbs.info(fd)
	local info = server:get_client_info(fd)
	server:send(fd, info.remote_ip .. " " .. info.server_port .. "\n")
end
function verbs.group(fd)
	server:join(fd, "all")
	server:publish("all", "to all\n")
	server:leave(fd, "all")
	server:publish("all", "to nobody\n")
end
function verbs.protect(fd) server:send(fd, tostring(server:protect(fd)) .. #server:heartbeat() .. "\n") end
function verbs.pause(fd)
	server:pause(fd)
	luaserv.after(100, function() server:send(fd, "resumed\n") server:resume(fd) end)
end
function verbs.close(fd) server:send(fd, "bye\n") server:close(fd) end
function verbs.large(fd) server:send(fd, ("x"):rep(3000000) .. "\n") end
server:on("task", function(server, id, src, data)
	if data.packet then return server:sendto(data.client.address, data.client.port, data.packet:upper()) end
	verbs[data.verb](data.fd)
end)
server:start()
LUA

matrix 'what workers can do with them, task workers can' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2, task_worker_num => 2 }, files => { 'data.txt' => "a file\n" });
	my @clients = map { $server->client(timeout => 20) } 1 .. 4;
	my %answers = (
		send => "from task\n", file => "a file\n", exists => "truefalse\n", info => '127.0.0.1 ' . $server->port . "\n",
		group => "to all\n", protect => "true0\n", pause => "resumed\n",
	);

	ok($server->wait_status(sub { $_->{connections} == 4 }), 'all are there');
	is($clients[1]->send("list\n")->recv_until("\n"), "4 4 4\n", 'lists');
	for my $client (@clients[ 1 .. 3 ]) {
		is($client->send("$_\n")->recv_until("\n"), $answers{$_}, $_) for sort keys %answers;
	}
	is(length $clients[1]->send("large\n")->recv_until("\n"), 3_000_001, 'a long one');
	is($clients[0]->send("close\n")->recv_all, "bye\n", 'close, after what was sent');
	is_deeply([ $server->wait_notes(1) ], ['closed server'], 'its worker is told');

	my $udp = IO::Socket::IP->new(Proto => 'udp', PeerHost => '127.0.0.1', PeerPort => $server->port(2)) or die "udp: $!\n";
	send $udp, 'packet', 0;
	alarm seconds(10);
	recv $udp, my $answer, 1000, 0;
	alarm 0;
	is($answer, 'PACKET', 'sendto');
};
done_testing();
