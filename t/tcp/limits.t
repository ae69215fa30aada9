# Limits of a port, a client address and a connection: each refuses in its own way, counts and says so in the log.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, "pong\n") end)
server:on("close", function(server, fd, reactor_id, info) note(info.by, info.reason) end)
local web = server:listen("127.0.0.1", $PORT_2, "tcp")
web:set { protocol = "http" }
web:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

sub is_served ($client) { return eval { $client->send("ping\n")->recv_until("\n") eq "pong\n" } }

matrix 'port_max_connection counts one port alone' => sub ($mode) {
	my $server = start_server(app => $app, settings => { port_max_connection => 2, worker_num => 1 });
	my @held = map { $server->client } 1 .. 2;

	ok(is_served($_), 'one of two') for @held;
	my $third = $server->client;
	is($third->recv_all, '', 'a third one is closed');
	is($server->get('/', port => $server->port(2))->body, "ok\n", 'another port has its own count');
	ok($server->wait_log(qr/port \d+: port_max_connection is reached; a connection of 127\.0\.0\.1 is refused/), 'the log says so');
	$held[0]->close;
	ok(wait_for(sub { is_served($server->client) }), 'when one has left another one may come');
	cmp_ok($server->status->{refused}, '>=', 1, 'counted');
};

matrix 'HTTP clients over a limit are told 503' => sub ($mode) {
	my $server = start_server(app => $app, settings => { port_max_connection => 1, worker_num => 1 });
	my $held = $server->client(port => $server->port(2));

	is($held->get('/')->status, 200, 'the first is served');
	like($server->client(port => $server->port(2))->recv_all, qr/\AHTTP\/1\.1 503 /, 'the second is told');
};

matrix 'max_connection_per_address holds for all connections of an address' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_connection_per_address => 3, worker_num => $mode eq 'base' ? 1 : 4 });
	my @held = map { $server->client } 1 .. 3;

	ok(is_served($_), 'one of three') for @held;
	is($server->client->recv_all, '', 'a fourth one is closed') for 1 .. 5;
	is($server->status->{refused_address}, 5, 'counted');
	$_->close for @held;
	ok(wait_for(sub { is_served($server->client) }), 'when they have left there is room again');
	ok($server->wait_log(qr/max_connection_per_address is reached; a connection of 127\.0\.0\.1 is refused \(\d+ more\)/), 'the log says so');
};

matrix 'accept_rate_per_address lets so many come at once and then by the clock' => sub ($mode) {
	my $server = start_server(app => $app, settings => { accept_rate_per_address => 5, worker_num => 1 });
	my @served = grep { is_served($_) } map { $server->client } 1 .. 20;

	cmp_ok(scalar @served, '>=', 5, 'a second\'s worth at once');
	cmp_ok(scalar @served, '<', 20, 'but not all');
	$_->close for @served;
	ok(wait_for(sub { is_served($server->client) }, 5, 0.1), 'later ones are served again');
	ok($server->wait_log(qr/accept_rate_per_address is reached/), 'the log says so');
};

matrix 'message_rate closes a raw connection' => sub ($mode) {
	my $server = start_server(app => $app, settings => { message_rate => 5, worker_num => 1 });
	my $client = $server->client;
	my $calm = $server->client;

	my $answers = 0;

	$answers++ while $answers < 50 && is_served($client);
	cmp_ok($answers, '>=', 5, 'a second\'s worth is answered');
	cmp_ok($answers, '<', 50, 'then it is closed');
	is_deeply([ $server->wait_notes(1) ], ['limit rate'], 'by the limit');
	ok(is_served($calm), 'another connection has its own');
	is($server->status->{limited}, 1, 'counted');
	ok($server->wait_log(qr/127\.0\.0\.1 sends more than message_rate allows; its connection is closed/), 'the log says so');
};

matrix 'message_rate answers 429 and serves on' => sub ($mode) {
	my $server = start_server(app => $app, settings => { message_rate => 20, message_burst => 3, worker_num => 1 });
	my $client = $server->client(port => $server->port(2));
	my %seen;

	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" x 10);
	$seen{ $client->response->status }++ for 1 .. 10;
	cmp_ok($seen{200}, '>=', 3, 'a burst is served');
	cmp_ok($seen{429}, '>=', 1, 'then 429');
	is($seen{200} + $seen{429}, 10, 'each is answered');
	ok(wait_for(sub { $client->get('/')->status == 200 }, 5, 0.1), 'and later it is served again');
	ok($server->wait_log(qr/a request is answered 429/), 'the log says so');
};

done_testing();
