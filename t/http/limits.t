use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("served\n") end)
server:start()
LUA

# What is sent is refused with this status, the connection closed.
sub refused ($server, $status, $bytes, $what) {
	my $client = $server->client;

	$client->send($bytes);
	my $answer = $client->response;
	is($answer->status, $status, "$what: status");
	ok($answer->closes, "$what: says that it closes");
	is_string($client->recv_all, '', "$what: closes");
	return;
}

sub served ($server, $bytes, $what) {
	my $client = $server->client;

	$client->send($bytes);
	is($client->response->status, 200, $what);
	$client->close;
	return;
}

matrix 'the limits of a request head are exact' => sub ($mode) {
	my $server = start_server(app => $app,
		settings => { http_max_header_size => 1000, http_max_target_size => 100, http_max_headers => 10 });
	my $line = "GET / HTTP/1.1\r\nHost: a\r\n";

	served($server, "GET /" . 'x' x 99 . " HTTP/1.1\r\nHost: a\r\n\r\n", 'a target of 100 bytes');
	refused($server, 414, "GET /" . 'x' x 100 . " HTTP/1.1\r\nHost: a\r\n\r\n", 'a target of 101 bytes');
	refused($server, 414, "GET /" . 'x' x 300, 'a target that does not end');
	served($server, $line . join('', map { "X$_: 1\r\n" } 1 .. 9) . "\r\n", 'ten fields');
	refused($server, 431, $line . join('', map { "X$_: 1\r\n" } 1 .. 10) . "\r\n", 'eleven fields');
	my $rest = 'x' x (1000 - length("${line}X: \r\n\r\n"));
	served($server, "${line}X: $rest\r\n\r\n", 'a head of 1000 bytes');
	refused($server, 431, "${line}X: x$rest\r\n\r\n", 'a head of 1001 bytes');
	refused($server, 431, $line . 'X: ' . 'x' x 2000, 'a head that does not end');
};

matrix 'the defaults take what browsers send' => sub ($mode) {
	my $server = start_server(app => $app);

	my ($target, $cookie) = ('x' x 8000, "Cookie: @{[ 'c' x 7000 ]}");
	served($server, "GET /$target HTTP/1.1\r\nHost: a\r\n$cookie\r\n\r\n", 'long target, long cookie');
	refused($server, 414, "GET /$target$target HTTP/1.1\r\nHost: a\r\n\r\n", 'over 8 KiB of target');
	refused($server, 431, "GET / HTTP/1.1\r\nHost: a\r\n$cookie$cookie$cookie\r\n\r\n", 'over 16 KiB of head');
	refused($server, 431, "GET / HTTP/1.1\r\nHost: a\r\n" . "A: b\r\n" x 100 . "\r\n", 'over 100 fields');
	served($server, "GET / HTTP/1.1\r\nHost: a\r\n" . "A: b\r\n" x 99 . "\r\n", '100 fields');
};

matrix 'max_connection refuses one more, and room that is made is used' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_connection => 3 });
	my @clients = map { $server->client } 1 .. 3;

	is($_->get('/')->status, 200, 'served') for @clients;
	my $extra = eval { $server->client };
	my $said = $extra ? eval { $extra->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); $extra->recv_all } // '' : '';
	like($said, qr/\A(?:\z|HTTP\/1\.1 503 )/, 'the fourth is refused');
	ok($server->wait_log(qr/port \d+: max_connection is reached; a connection is refused/), 'which is logged');
	$_->close for @clients;
	ok(wait_for(sub { eval { $server->get('/')->status == 200 } }), 'and later served');
};

done_testing();
