use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = "eof", package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	server:send(fd, data == "who\n" and server.worker_id .. "\n" or data)
end)
server:start()
LUA

my $why = 'in base mode the kernel would hand it connections';

matrix 'a stopped worker stalls nobody but its own clients', process => $why, sub ($mode) {
	my $server = start_server(app => $app,
		settings => { worker_num => 2, ring_size => '64k', max_queued_bytes => '64k' });
	my @clients = map { $server->client } 1 .. 8;
	my @of = ([], []);

	push @{ $of[ $_->send("who\n")->recv(2) + 0 ] }, $_ for @clients;
	ok(@{ $of[0] } && @{ $of[1] }, 'both workers have clients') or return;
	my ($pid) = $server->worker_pids;
	my $resident = $server->resident;

	freeze($pid);
	my $block = 'x' x 999 . "\n";
	for my $client (@{ $of[0] }) {
		# As much as the server takes: it must stop reading, not collect.
		local $client->{timeout} = 0.3;
		eval { $client->send($block x 20_000) };
		$client->{stuffed} = 1;
	}
	for (1 .. 20) {
		is($of[1][0]->send("hello\n")->recv(6), "hello\n", 'the other worker\'s clients are served');
	}
	cmp_ok($server->resident - $resident, '<', 40_000, 'kB more at most') if build_name() eq 'release';
	kill CONT => $pid;
	is_string($_->recv(length $block), $block, 'and the stalled ones go on') for @{ $of[0] };
};

matrix 'requests wait for a stopped worker and are answered when it goes on' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA
	my $client = $server->client;
	$client->get('/');
	my ($pid) = $server->worker_pids;

	freeze($pid);
	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	ok($client->quiet(0.1), 'no answer yet');
	kill CONT => $pid;
	is($client->response->status, 200, 'then one');
};

done_testing();
