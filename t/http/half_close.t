use lib 't/lib';
use Test::Luaserv;

# Pitfall 27: `printf … | nc -N` shuts its sending side and still wants the answer.

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	note(req.path)
	if req.path == "/slow" then luaserv.sleep(0.1) end
	res:finish(req.path .. " " .. req:body() .. "\n")
end)
server:start()
LUA

sub exchange ($server, $bytes) {
	my $client = $server->client;
	$client->send($bytes)->shutdown;
	return $client->recv_all;
}

my $get = "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n";
my $post = "POST /slow HTTP/1.1\r\nHost: a\r\n";

matrix 'a client that has shut its sending side gets its answers' => sub ($mode) {
	my $server = start_server(app => $app);

	like(exchange($server, $get =~ s/slow/fast/r), qr{\AHTTP/1.1 200 .*/fast \n\z}s, 'at once');
	like(exchange($server, $get), qr{\AHTTP/1.1 200 .*/slow \n\z}s, 'later');
	like(exchange($server, "${post}Content-Length: 2\r\n\r\nhi"), qr{/slow hi\n\z}, 'with a body');
	like(exchange($server, $get . $get =~ s/slow/2/r), qr{/slow \nHTTP/1.1 200 .*/2 \n\z}s, 'two of them');
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
};

matrix 'half a request is not served' => sub ($mode) {
	my $server = start_server(app => $app);

	is(exchange($server, ''), '', 'nothing at all: silence');
	my $refused = qr{\A(?:HTTP/1.1 400 |\z)};
	like(exchange($server, 'GET /half HTTP/1.1'), $refused, 'half a head');
	like(exchange($server, "${post}Content-Length: 10\r\n\r\nhi"), $refused, 'half a body');
	like(exchange($server, "${post}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"), $refused, 'without a last chunk');
	is_deeply([ $server->notes ], [], 'the handler was not called');
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
};

matrix 'a reset is noticed while the handler runs' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { max_wait_time => '300ms' });
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	note(req.path)
	luaserv.sleep(60)
end)
server:start()
LUA
	my $client = $server->client;

	$client->send("GET /first HTTP/1.1\r\nHost: a\r\n\r\nPOST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	is_deeply([ $server->wait_notes(1) ], ['/first'], 'the first request is with its handler, the second waits');
	$client->abort;
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
};

done_testing();
