# Allocations fail now and then: who needed the memory loses a connection or a request, and nothing else happens.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

plan(skip_all => 'Is about fault points, as LUASERV_TEST_CHAOS=1 has them.') if !$ENV{LUASERV_TEST_CHAOS};

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local body = req:body()
	res:header("X-Length", #body)
	res:write(("x"):rep(3000))
	luaserv.sleep(0.001)
	res:trailer("X-Sum", "1"):finish(("y"):rep(30000))
end)
local echo = server:listen("127.0.0.1", $PORT_2, "tcp")
echo:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
echo:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA

for my $rate (7, 100, 1000) {
	matrix "one in $rate fails" => sub ($mode) {
		my $server = start_server(app => $app, env => { LS_FAULTS => "no_memory=$rate" });
		my ($master, @workers) = ($server->pid, $server->worker_pids);
		my $request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n" . 'b' x 20000;
		my $load = $server->load(10, request => $request);

		for my $round (1 .. 100) {
			my $client = eval { $server->client(port => $server->port(2)) } or next;
			eval { $client->send("line $_\n") for 1 .. 20; $client->recv(20) };
			$client->close;
		}
		ok(wait_for(sub { my $n = $load->counts; ($n->{ok} // 0) + ($n->{failed} // 0) > 500 }, 20), 'much is asked');
		$load->stop;
		is_deeply([ $server->worker_pids ], \@workers, 'the workers live on');
		ok($server->wait_status(sub ($s) { $s->{connections} == 0 && $s->{workers}[0]{in_flight} == 0 }),
			'and nothing is left over');
		is($server->stop, 0, 'exit code');
	};
}

done_testing();
