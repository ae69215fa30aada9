use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/close" then res:header("Connection", "close") end
	res:finish(req.fd .. "\n")
end)
server:start()
LUA

matrix 'one connection serves many requests' => sub ($mode) {
	my $client = start_server(app => $app)->client;
	my $first = $client->get('/');

	ok(!$first->closes, 'HTTP/1.1 keeps the connection without being asked');
	is($client->get('/')->body, $first->body, 'the same connection') for 1 .. 20;
	is($client->post('/', 'x' x 1000)->body, $first->body, 'and after a body');
	ok($client->open, 'it stays open');
};

matrix 'Connection: close from the client is honoured' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	ok($client->get('/', headers => [ Connection => 'close' ])->closes, 'the answer says so');
	ok($client->eof, 'the server closes');
};

matrix 'Connection: close from the app is honoured' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	ok(!$client->get('/')->closes, 'an answer without it');
	ok($client->get('/close')->closes, 'the answer says so');
	ok($client->eof, 'the server closes');
};

matrix 'http_keepalive_requests ends the connection' => sub ($mode) {
	my $client = start_server(app => $app, settings => { http_keepalive_requests => 3 })->client;
	my @closes = map { $client->get('/')->closes ? 1 : 0 } 1 .. 3;

	is("@closes", '0 0 1', 'the third answer says so');
	ok($client->eof, 'the server closes');
};

matrix 'http_keepalive_timeout ends an idle connection in silence' => sub ($mode) {
	my $client = start_server(app => $app, settings => { http_keepalive_timeout => '200ms' })->client;

	is($client->get('/')->status, 200, 'served');
	ok($client->eof, 'the server closes and says nothing');
};

matrix 'http_header_timeout ends one that never asked, in silence' => sub ($mode) {
	ok(start_server(app => $app, settings => { http_header_timeout => '200ms' })->client->eof, 'the server closes');
};

matrix 'closed connections are counted out' => sub ($mode) {
	my $server = start_server(app => $app);
	my @clients = map { $server->client } 1 .. 10;

	$_->get('/') for @clients;
	ok($server->wait_status(sub { $_->{connections} == 10 }), 'ten are open');
	$_->close for @clients;
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'none is left');
};

done_testing();
