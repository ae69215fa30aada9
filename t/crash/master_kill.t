use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	note("inside")
	if req.path == "/busy" then while true do end end
	luaserv.sleep(3600)
end)
server:start()
LUA

matrix 'when the master dies, no process of it is left' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3 })->expect_crash(qr/./);
	my $client = $server->client;

	$client->send("GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
	$server->wait_notes(1);
	my @below = descendants($server->pid);
	cmp_ok(scalar @below, '>=', 3, 'there are workers');
	kill KILL => $server->pid;
	$server->wait_exit;
	ok(wait_for(sub { !grep { alive($_) } @below }, 2), 'all have gone within two seconds')
		or diag(map { slurp("/proc/$_/cmdline") =~ tr/\0/ /r . "\n" } grep { alive($_) } @below);
	kill KILL => grep { alive($_) } @below;
	ok(!eval { $server->client }, 'nobody listens');
};

matrix 'the next server can start at once' => sub ($mode) {
	my $server = start_server(app => $app)->expect_crash(qr/./);

	kill KILL => $server->pid;
	$server->wait_exit;
	ok(wait_for(sub { $server->start(app => $app) }, 5), 'on the same port, over the same pid file')
		or diag($server->complaint);
	is($server->status->{master_pid}, $server->pid, 'and it is the one that answers');
};

done_testing();
