use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(req:body() .. "\n") end)
server:start()
LUA

sub ask ($client, $length, $expect = '100-continue') {
	return $client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: $length\r\nExpect: $expect\r\n\r\n");
}

matrix '100 Continue comes before the body' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	for my $expect (qw(100-continue 100-Continue)) {
		ask($client, 5, $expect);
		is($client->recv_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n", $expect);
		$client->send('hello');
		is($client->response->body, "hello\n", 'the answer');
	}
};

matrix 'a body that is too long gets 413 instead' => sub ($mode) {
	my $client = start_server(app => $app, settings => { package_max_length => 1000 })->client;

	ask($client, 5000);
	my $answer = $client->response;
	is($answer->status, 413, 'status');
	is(scalar $answer->interim, 0, 'no 100 before it');
	ok($client->eof, 'closed');
};

matrix 'other expectations are refused' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	ask($client, 5, 'wonders');
	is($client->response->status, 417, 'status');
};

matrix 'a client that does not wait is served' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	ask($client, 5)->send('hello');
	is($client->response->body, "hello\n", 'the answer');
	is($client->get('/')->body, "\n", 'and the next');
};

matrix 'HTTP/1.0 gets no 100' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	$client->send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	ok($client->quiet, 'silence');
	$client->send('hello');
	is(scalar $client->response->interim, 0, 'none with the answer');
};

done_testing();
