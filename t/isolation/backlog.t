# What the link to the reactor does not take any more is cut off: the client notices, the worker is told, others go on.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:set { enable_coroutine = false }
server:on("request", function(req, res)
	local n = tonumber(req.query.bytes) or 3
	local ok, message = res:finish(("x"):rep(n))
	note(n, tostring(ok), message or "")
end)
server:start()
LUA

matrix 'an answer larger than link_backlog_size' => sub ($mode) {
	my $server = start_server(app => $app, settings => { link_backlog_size => '1m', ring_size => '64k' });
	my $client = $server->client;

	$client->send("GET /?bytes=20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
	my $got = $client->recv_all;
	cmp_ok(length $got, '<', 20_000_000, 'the connection ends before all has come');
	is_deeply([ $server->wait_notes(1) ], ['20000000 nil socket_buffer_size or link_backlog_size is used up'], 'the handler is told');
	is($server->get('/')->body, 'xxx', 'the next one is answered');
	ok($server->wait_status(sub ($s) { $s->{connections} == 0 && $s->{workers}[0]{in_flight} == 0 }), 'nothing is left over');
};

# The end of an answer waits behind a part that a slow client does not take, and its time passes.
matrix 'an end that is given up ends the connection' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { send_timeout => '300ms', socket_buffer_size => '64k' });
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	luaserv.go(function() res:write(("x"):rep(20000000)) end)
	local ok, message = res:finish("the end")
	note(tostring(ok), message or "")
end)
server:start()
LUA
	my $client = $server->client;

	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	is_deeply([ $server->wait_notes(1) ], ['nil timeout'], 'the handler is told');
	my $got = $client->recv_all;
	like($got, qr/Transfer-Encoding: chunked/, 'an answer had begun');
	unlike($got, qr/0\r\n\r\n\z/, 'and has no end, so that the client notices');
	ok($server->wait_status(sub ($s) { $s->{connections} == 0 && $s->{workers}[0]{in_flight} == 0 }), 'nothing is left over');
};

done_testing();
