# server:stats() and its like: of all processes, in both modes.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:listen("127.0.0.1", $PORT_2)
server:on("receive", function(server, fd, reactor_id, line)
	local what, of = line:match("(%S+) ?(%S*)")
	if what == "stats" then
		local s = server:stats()
		local value = of == "ports" and s.ports[1].connection_num .. "+" .. s.ports[2].connection_num or s[of]
		return server:send(fd, tostring(value) .. "\n")
	elseif what == "hold" then
		server:task("hold")
		return server:send(fd, "held\n")
	end
	local value, message = server[what](server, tonumber(of))
	server:send(fd, tostring(value) .. " " .. tostring(message) .. "\n")
end)
server:on("task", function() luaserv.sleep(60) end)
server:start()
LUA

matrix 'what all processes count' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2, task_worker_num => 2, max_wait_time => '100ms' });
	my $client = $server->client;
	my $ask = sub ($what) { return $client->send("$what\n")->recv_until("\n") };
	my @others = map { $server->client } 1 .. 5;
	my @second = map { Test::Luaserv::Client->connect(port => $server->port(2)) } 1 .. 3;

	ok(wait_for(sub { $ask->('stats connection_num') eq "9\n" }), 'connections of all workers');
	is($ask->('stats ports'), "6+3\n", 'by port');
	is($ask->('stats accept_count'), "9\n", 'accepted');
	$_->close for @second;
	ok(wait_for(sub { $ask->('stats ports') eq "6+0\n" }), 'they have left');
	is($ask->('stats close_count'), "3\n", 'closed');
	is($ask->('stats task_idle_worker_num'), "2\n", 'idle task workers');
	is($ask->('hold'), "held\n", 'a task');
	ok(wait_for(sub { $ask->('stats tasking_num') eq "1\n" }), 'runs');
	is($ask->('stats task_idle_worker_num'), "1\n", 'one is left');
	is($ask->('stats worker_num'), "2\n", 'workers');
};

matrix 'pids, states, and the end of one' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2, task_worker_num => 1 });
	my $client = $server->client;
	my $ask = sub ($what) { return $client->send("$what\n")->recv_until("\n") };
	my @pids = ((map { $_->{pid} } @{ $server->status->{workers} }), $server->status->{tasks}[0]{pid});

	is($ask->("get_worker_pid $_"), "$pids[$_] nil\n", "pid of $_") for 0 .. 2;
	like($ask->('get_worker_pid'), qr/^(?:$pids[0]|$pids[1]) nil\n/, 'its own');
	is($ask->('get_worker_status 2'), "idle nil\n", 'a state');
	is($ask->('stop 2'), "true nil\n", 'a task worker is stopped');
	ok(wait_for(sub { my ($pid) = $ask->('get_worker_pid 2') =~ /^(\d+)/; $pid && $pid != $pids[2] }), 'and replaced');
};
done_testing();
