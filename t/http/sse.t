# Server-sent events: what is on the wire, who has gone, and what cannot be sent.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local sse = require "luaserv.sse"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	local stream = assert(sse.open(req, res, req.path == "/beat" and { heartbeat = 0.02 } or { retry = 1500 }))
	if req.path == "/beat" then
		while not stream.closed do luaserv.sleep(0.01) end
		note("gone")
		return
	end
	stream:send("plain")
	stream:send { event = "news", id = 7, data = "one\r\ntwo\rthree\n", retry = 10 }
	stream:send { data = "" }
	stream:send { event = "only" }
	stream:comment("quiet")
	stream:send(stream.last_event_id or "nothing seen")
	for _, wrong in ipairs { { event = "a\nb" }, { id = "a\rb" }, { id = "a\0b" } } do
		note((select(2, pcall(stream.send, stream, wrong)):gsub("^.-: ", "")))
	end
	note((select(2, pcall(stream.comment, stream, "a\n\ndata: x")):gsub("^.-: ", "")))
	stream:close()
	note(select(2, stream:send("late")))
	note(tostring(stream:close()))
end)
server:start()
LUA

matrix 'what is sent' => sub ($mode) {
	my $server = start_server(app => $app);
	my $response = $server->client->request('GET', '/', headers => "Last-Event-ID: 6\n");

	is($response->header('content-type'), 'text/event-stream; charset=utf-8', 'type');
	is($response->header('cache-control'), 'no-store', 'not for caches');
	is_string($response->body, "retry: 1500\n\ndata: plain\n\nevent: news\nid: 7\nretry: 10\ndata: one\ndata: two\ndata: three\ndata: \n\n" . "data: \n\nevent: only\n\n: quiet\n\ndata: 6\n\n",
		'line by line');
	is_deeply([ $server->wait_notes(6) ], [ 'event has a line end or NUL in it', ('id has a line end or NUL in it') x 2, 'comment has a line end or NUL in it',
		'the stream is closed 1004', 'true' ], 'and what cannot be');
};

matrix 'a heartbeat notices who has gone' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client->send("GET /beat HTTP/1.1\r\nHost: x\r\n\r\n");

	like($client->recv_until(": \n\n\r\n" . ''), qr/: \n\n/, 'it beats');
	$client->close;
	is_deeply([ $server->wait_notes(1) ], ['gone'], 'until the client has gone');
};

done_testing();
