use lib 't/lib';
use Test::Luaserv;

my $why = 'in base mode the kernel gives a connection to a worker';

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	if data == "sleep\n" then luaserv.sleep(0.5) end
	server:send(fd, server.worker_id .. "\n")
end)
server:start()
LUA

sub ask ($client, $text = "x\n") { return $client->send($text)->recv(2) + 0 }

my %framing = (protocol => 'eof', package_eof => '\n', worker_num => 3);

matrix 'fixed: a connection stays with its worker, and all workers are used', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'fixed' });
	my %used;

	for (1 .. 12) {
		my $client = $server->client;
		my %own = map { ask($client) => 1 } 1 .. 5;
		is(scalar keys %own, 1, 'one worker');
		$used{$_}++ for keys %own;
		$client->close;
	}
	is(join(' ', sort keys %used), '0 1 2', 'all three');
};

matrix 'round: messages take turns', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'round' });
	my $client = $server->client;
	my %used;

	$used{ ask($client) }++ for 1 .. 30;
	is_deeply(\%used, { 0 => 10, 1 => 10, 2 => 10 }, 'evenly');
};

matrix 'idle: a worker with nothing to do is preferred', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'idle' });
	my ($busy, $client) = map { $server->client } 1 .. 2;
	$busy->send("sleep\n");
	ok($server->wait_status(sub { grep { $_->{in_flight} } @{ $_->{workers} } }), 'one is inside a handler');
	my @answers = map { ask($client) } 1 .. 10;
	my $blocked = $busy->recv(2) + 0;

	is_deeply([ grep { $_ == $blocked } @answers ], [], 'the others answer');
};

matrix 'idle: a worker whose Lua does not come back gets no requests', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 3, dispatch_mode => 'idle' });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local t = os.clock()
	if req.path == "/block" then repeat until os.clock() - t > 0.3 end
	res:finish(server.worker_id .. "\n")
end)
server:start()
LUA
	my ($busy, $client) = map { $server->client } 1 .. 2;

	$busy->send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
	ok($server->wait_status(sub { $_->{requests} >= 1 || grep { $_->{in_flight} } @{ $_->{workers} } }), 'it is blocked');
	my @answers = map { $client->get('/')->body } 1 .. 10;
	my $blocked = $busy->response->body;
	is_deeply([ grep { $_ eq $blocked } @answers ], [], 'the others answer');
};

matrix 'Swoole\'s numbers are understood', process => $why, sub ($mode) {
	for my $number (1 .. 3) {
		my $server = start_server(app => $app, settings => { %framing, dispatch_mode => $number });
		like(ask($server->client), qr/\A[012]\z/, "mode $number");
	}
};

matrix 'requests of one connection are spread over workers', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 3, dispatch_mode => 'round' });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(server.worker_id .. "\n") end)
server:start()
LUA
	my $client = $server->client;
	my %used;

	$used{ $client->get('/')->body + 0 }++ for 1 .. 30;
	is_deeply(\%used, { 0 => 10, 1 => 10, 2 => 10 }, 'evenly');
};

done_testing();
