use lib 't/lib';
use Test::Luaserv;

matrix 'a written piece leaves before the handler has ended' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local go_on = luaserv.channel(1)
server:on("request", function(req, res)
	if req.path == "/go" then
		go_on:push(true)
		return res:finish("gone on\n")
	end
	res:header("Content-Type", "text/event-stream")
	res:write("first\n")
	go_on:pop()
	res:write("second\n")
	res:finish("third\n")
end)
server:start()
LUA
	my $client = $server->client;

	$client->send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
	like($client->recv_until("first\n"), qr/^Transfer-Encoding: chunked\r$/mi, 'the head and the first piece are there');
	is($client->recv(2), "\r\n", 'its chunk has ended');
	ok($client->quiet(0.05), 'the second is not there');
	is($server->get('/go')->body, "gone on\n", 'another request lets the handler go on');
	my $rest = $client->recv_until("0\r\n\r\n");
	like($rest, qr/second\n.*third\n/s, 'the rest follows');
	is($client->get('/go')->status, 200, 'the connection serves on');
};

matrix 'a long answer is held back by a client that reads late, and comes whole' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { socket_buffer_size => '64k' });
local server = require "luaserv".http("127.0.0.1", $PORT)
local written, block = 0, ("x"):rep(16384)
server:on("request", function(req, res)
	if req.path == "/written" then return res:finish(written .. "\n") end
	for i = 1, 512 do
		assert(res:write(block))
		written = i
	end
	res:finish("end")
end)
server:start()
LUA
	my $client = $server->client(rcvbuf => 16_384, timeout => 20);

	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	$client->recv_until("\r\n\r\n");
	my $last = -1;
	ok(wait_for(sub {
		my $now = $server->get('/written')->body + 0;
		my $stands = $now == $last;
		$last = $now;
		select undef, undef, undef, 0.05;
		return $stands;
	}), 'the writer waits');
	cmp_ok($last, '<', 512, 'before the end');
	my $count = 0;
	while (1) {
		my ($size) = $client->recv_until("\r\n") =~ /\A([0-9a-f]+)\r\n\z/i or die 'no chunk size';
		$count += length $client->recv(hex $size);
		$client->recv(2);
		last if $size =~ /\A0+\z/;
	}
	is($count, 512 * 16_384 + 3, 'every byte came');
};

matrix 'what another coroutine writes leaves whole although the handler has ended' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { socket_buffer_size => '64k' });
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	res:header("Trailer", "X-None")
	luaserv.go(function()
		note("written", tostring(res:write(("x"):rep(1000000))))
		note("late", tostring(pcall(res.write, res, "more")))
	end)
	if req.path == "/raise" then error("on purpose") end
end)
server:start()
LUA
	my $client = $server->client(rcvbuf => 16_384, timeout => 20);
	my ($body, $size) = ('', 1);

	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	$client->recv_until("\r\n\r\n");
	while ($size) {
		$size = hex(($client->recv_until("\r\n") =~ /\A([0-9a-f]+)\r\n\z/i)[0]);
		$body .= $client->recv($size);
		$client->recv(2);
	}
	is(length $body, 1_000_000, 'every byte came, then the end');
	is_deeply([ $server->wait_notes(2) ], [ 'written true', 'late false' ], 'and nothing may follow');
	$client->close;
	ok($server->wait_idle, 'nothing is left');

	my $other = $server->client(rcvbuf => 16_384, timeout => 20);

	$other->send("GET /raise HTTP/1.1\r\nHost: a\r\n\r\n");
	unlike($other->recv_all, qr/0\r\n\r\n\z/, 'a handler that raised cuts it off');
	is_deeply([ ($server->wait_notes(4))[2] ], ['written nil'], 'and the writer is told');
	like($server->log, qr/on purpose/, "which is logged");
	$server->forget_log;
	ok($server->wait_idle, 'nothing is left');
};

matrix 'a client that has gone ends the write with an error value' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	res:write("first\n")
	local deadline, fine, message = os.time() + 20
	repeat
		luaserv.sleep(0.005)
		fine, message = res:write(("x"):rep(1000))
	until not fine or os.time() > deadline
	note(tostring(fine), type(message))
end)
server:start()
LUA
	my $client = $server->client;

	$client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	$client->recv_until("first\n");
	$client->abort;
	is_deeply([ $server->wait_notes(1) ], ['nil string'], 'write tells');
	ok($server->wait_idle, 'nothing is left');
};

matrix 'a file is sent from its place' => sub ($mode) {
	my $content = join '', map { "line $_\n" } 1 .. 20_000;
	my $server = start_server(app => <<'LUA', files => { 'data.txt' => $content });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/part" then return res:sendfile("$ROOT/data.txt", 7, 14) end
	if req.path == "/none" then
		local fine, message = res:sendfile("$ROOT/none.txt")
		return not fine and res:status(404):finish("no such file\n")
	end
	res:sendfile("$ROOT/data.txt")
end)
server:start()
LUA
	my $client = $server->client;

	is_string($client->get('/')->body, $content, 'the whole file');
	is_string($client->get('/part')->body, substr($content, 7, 14), 'a part of it');
	is($client->request('HEAD', '/')->header('content-length'), length $content, 'HEAD tells its length');
};

done_testing();
