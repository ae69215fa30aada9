use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(req:body() .. "ok\n") end)
server:start()
LUA

my %short = (http_header_timeout => '400ms', http_body_timeout => '400ms');

matrix 'a head that does not come in time is answered 408 and cut' => sub ($mode) {
	my $server = start_server(app => $app, settings => {%short});
	my @stuck = map { $server->client->send("GET / HTTP/1.1\r\nHost: a\r\nX-$_: ") } 1 .. 50;

	is($server->get('/')->status, 200, 'others are served meanwhile');
	my @answers = map { $_->response->status } @stuck;
	is_deeply([ grep { $_ != 408 } @answers ], [], 'all fifty get 408');
	ok($_->eof, 'and the end') for $stuck[0];
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
};

matrix 'a head that comes byte by byte is cut all the same' => sub ($mode) {
	my $server = start_server(app => $app, settings => {%short});
	my $client = $server->client;
	my $sent = 0;

	$client->send("GET / HTTP/1.1\r\nX: ");
	while ($client->quiet(0.02) && $sent < 1000) {
		eval { $client->send('x') } or last;
		$sent++;
	}
	is($client->response->status, 408, 'the whole head has a limit, not each byte');
};

matrix 'silence inside a body is answered 408 and cut' => sub ($mode) {
	my $server = start_server(app => $app, settings => {%short});
	my $client = $server->client;

	$client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
	is($client->response->status, 408, 'status');
	ok($client->eof, 'cut');
};

matrix 'a body that goes on coming is not cut' => sub ($mode) {
	my $server = start_server(app => $app, settings => { %short, http_body_timeout => '1s' });
	my $client = $server->client;

	$client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
	for (1 .. 12) {
		ok($client->quiet(0.1), 'it waits') if $_ % 6 == 0;
		select undef, undef, undef, 0.1;
		$client->send('x');
	}
	is($client->response->body, 'x' x 12 . "ok\n", 'the answer');
};

matrix 'a raw connection that sends nothing is closed after max_idle_time' => sub ($mode) {
	my $server = start_server(settings => { max_idle_time => '300ms' }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:on("close", function(server, fd, reactor_id, info) note("close", info.by, info.reason) end)
server:start()
LUA
	my $client = $server->client;
	is($client->send('hello')->recv(5), 'hello', 'served');
	ok($client->eof, 'then closed');
	like(($server->wait_notes(1))[0], qr/\Aclose (?:heartbeat|limit) timeout_idle\z/, 'and close says why');
};

done_testing();
