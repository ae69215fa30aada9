use lib 't/lib';
use Test::Luaserv;

my $echo = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local body = req:body()
	if req.path == "/length" then return res:finish(#body .. "\n") end
	res:finish(body)
end)
server:start()
LUA

matrix 'bodies of every size come whole, both ways' => sub ($mode) {
	my $client = start_server(app => $echo)->client(timeout => 10);

	for my $size (0, 1, 1023, 4096, 16_384, 65_535, 65_536, 100_000, 300_000, 1_048_576, 2_097_152) {
		my $body = join '', map { chr(33 + $_ % 90) } 1 .. 97;
		$body = substr $body x (1 + $size / 97), 0, $size;
		my $answer = $client->post('/', $body);
		ok($answer->body eq $body, "$size bytes") or is(length $answer->body, $size);
	}
};

matrix 'a body that comes slowly' => sub ($mode) {
	my $client = start_server(app => $echo)->client;

	$client->send("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
	for (1 .. 20) {
		ok($client->quiet(0.003), 'no answer yet') if $_ % 10 == 0;
		$client->send('x');
	}
	is($client->response->body, "20\n", 'whole at last');
};

matrix 'package_max_length is exact' => sub ($mode) {
	my $server = start_server(app => $echo, settings => { package_max_length => 1000 });

	is($server->client->post('/length', 'x' x 1000)->body, "1000\n", 'as long as allowed');
	my $client = $server->client;
	my $answer = $client->post('/length', 'x' x 1001);
	is($answer->status, 413, 'one more byte');
	ok($answer->closes && $client->eof, 'and the connection is closed');
};

# Pitfall 28: closing with unread data sends a RST, which would eat the answer on its way.
matrix 'an early 413 reaches a client that goes on sending' => sub ($mode) {
	my $server = start_server(app => $echo, settings => { package_max_length => 1000 });

	for (1 .. 5) {
		my $client = $server->client;
		$client->send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
		eval { $client->send('x' x 300_000) };
		is($client->response->status, 413, 'the client can read why');
		$client->close;
	}
};

my $stream = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/read" then
		local parts = {}
		repeat
			local part = req:read(1000)
			parts[#parts + 1] = part and #part
		until not part or part == ""
		return res:finish(table.concat(parts, " ") .. "\n")
	elseif req.path == "/chunks" then
		local sum, seen = 0, false
		for chunk in req:chunks() do
			if not seen then res:write("first\n") seen = true end
			sum = sum + #chunk
		end
		return res:finish(sum .. "\n")
	end
	res:finish("not read\n")
end)
server:start()
LUA

matrix 'a streamed body is read piece by piece' => sub ($mode) {
	my $server = start_server(app => $stream, settings => { http_request_body => 'stream', package_max_length => 1000 });
	my @parts = split ' ', $server->client->post('/read', 'x' x 5500)->body;

	is(eval { my $sum = 0; $sum += $_ for @parts; $sum }, 5500, 'req:read gives all of it');
	ok(!(grep { $_ > 1000 } @parts), 'never more than asked for');

	my $client = $server->client(timeout => 10);
	$client->send("POST /chunks HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
	$client->send('x' x 1000);
	$client->recv_until("first\n");
	pass('the handler runs before the body is whole');
	$client->send('x' x 2_999_000);
	is($client->recv_until("0\r\n\r\n") =~ /3000000\n/ ? 1 : 0, 1, 'req:chunks gives all of it');
};

matrix 'a streamed body that nobody reads does not confuse the next request' => sub ($mode) {
	my $client = start_server(app => $stream, settings => { http_request_body => 'stream' })->client;
	my $answer = $client->post('/none', 'GET /read HTTP/1.1' . "\r\n" x 100);

	is($answer->body, "not read\n", 'answered');
	if ($answer->closes) {
		ok($client->eof, 'closed, as the answer says');
	} else {
		is($client->post('/read', 'abc')->body, "3\n", 'the next request is read from its beginning');
	}
};

done_testing();
