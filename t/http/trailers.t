# Fields that follow the body: announced and sent where chunks carry the body, dropped where they cannot be.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
local answers = {}

answers["/finish"] = function(req, res) res:trailer("X-Sum", "12"):trailer("X-Time", "3 ms"):finish("one") end
answers["/again"] = function(req, res) res:trailer("X-Sum", "old"):trailer("x-sum", "new"):finish("one") end
answers["/late"] = function(req, res)
	res:write("one")
	res:trailer("X-Late", "yes")
	res:finish("two")
end
answers["/return"] = function(req, res)
	res:write("one")
	res:trailer("X-End", "by return")
end
answers["/bare"] = function(req, res) res:trailer("X-Only", "1") end
answers["/large"] = function(req, res) res:trailer("X-Large", "1"):finish(("x"):rep(3000000)) end
answers["/file"] = function(req, res) res:trailer("X-File", "1"):sendfile("$ROOT/app.lua") end
answers["/none"] = function(req, res) res:status(304):trailer("X-No", "1"):finish() end
answers["/own"] = function(req, res) res:header("Trailer", "X-Own"):finish("one") end
answers["/refused"] = function(req, res)
	local text = {}
	for _, field in ipairs { { "Content-Length", "1" }, { "set-cookie", "a" }, { "a b", "1" }, { "X", "1\r\nY: 2" } } do
		local ok, message = pcall(res.trailer, res, field[1], field[2])
		text[#text + 1] = tostring(ok) .. " " .. tostring(message)
	end
	res:finish(table.concat(text, "\n") .. "\n")
end

server:on("request", function(req, res) answers[req.path](req, res) end)
server:start()
LUA

sub ask ($server, $path, %o) {
	my $client = $server->client;
	my $version = $o{version} // '1.1';

	$client->send(($o{method} // 'GET') . " $path HTTP/$version\r\nHost: a\r\nConnection: close\r\n\r\n");
	return split /(?<=\r\n\r\n)/, $client->recv_all, 2;
}

matrix 'response trailers' => sub ($mode) {
	my $server = start_server(app => $app);
	my ($head, $body) = ask($server, '/finish');

	like($head, qr/^Transfer-Encoding: chunked\r$/m, 'a body with trailers is sent in chunks');
	unlike($head, qr/^Content-Length/mi, 'and has no length');
	like($head, qr/^Trailer: X-Sum\r\nTrailer: X-Time\r$/m, 'the head announces them');
	is($body, "3\r\none\r\n0\r\nX-Sum: 12\r\nX-Time: 3 ms\r\n\r\n", 'they follow the last chunk');

	($head, $body) = ask($server, '/again');
	is($body, "3\r\none\r\n0\r\nx-sum: new\r\n\r\n", 'the last value of a name counts');
	is(() = $head =~ /^Trailer:/mg, 1, 'which is announced once');

	($head, $body) = ask($server, '/late');
	is($body, "3\r\none\r\n3\r\ntwo\r\n0\r\nX-Late: yes\r\n\r\n", 'a trailer may be set after the head has left');
	unlike($head, qr/^Trailer:/m, 'which then cannot announce it');

	is((ask($server, '/return'))[1], "3\r\none\r\n0\r\nX-End: by return\r\n\r\n", 'the end of the handler sends them too');
	is((ask($server, '/bare'))[1], "0\r\nX-Only: 1\r\n\r\n", 'also behind no body at all');

	($head, $body) = ask($server, '/large');
	like($body, qr/\r\n0\r\nX-Large: 1\r\n\r\n\z/, 'behind a body larger than the budget');
	is($body =~ tr/x//, 3000000, 'of which nothing is missing');
	like((ask($server, '/file'))[1], qr/server:start\(\)\n\r\n0\r\nX-File: 1\r\n\r\n\z/, 'and behind a file');

	($head, $body) = ask($server, '/finish', version => '1.0');
	is($body, 'one', 'a client of HTTP/1.0 gets the body without them');
	($head, $body) = ask($server, '/finish', method => 'HEAD');
	is($body // '', '', 'HEAD gets none');
	($head, $body) = ask($server, '/none');
	like($head, qr{\AHTTP/1\.1 304 }, 'an answer of 304');
	is($body // '', '', 'has none');
	is((ask($server, '/own'))[1], 'one', 'a Trailer field alone changes nothing');

	my @refused = split /\n/, (ask($server, '/refused'))[1];
	like($refused[0], qr/^false .*Content-Length says how to read the message/, 'a field that frames is refused');
	like($refused[1], qr/^false .*set-cookie says/, 'set-cookie too');
	like($refused[2], qr/^false .*"a b" is not a field name/, 'a malformed name');
	like($refused[3], qr/^false .*CR, LF or NUL/, 'a malformed value');
};

matrix 'trailers leave pipelined answers in order' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;

	$client->send("GET /finish HTTP/1.1\r\nHost: a\r\n\r\n" x 3);
	for my $i (1 .. 3) {
		my $response = $client->response;

		is($response->body, 'one', "answer $i");
		is_deeply($response->{trailers}, [ 'X-Sum: 12', 'X-Time: 3 ms' ], 'with its trailers');
	}
};

matrix 'fields have a limit and passing it is an error of the app' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { ring_size => '64k' });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local method = req.query.method
	local n = 0
	local ok, message
	repeat
		n = n + 1
		ok, message = pcall(res[method], res, "X-" .. n, ("v"):rep(1000))
	until not ok
	if req.query.raise then
		error(message)
	end
	res:finish(n .. " " .. message)
end)
server:start()
LUA
	for my $method (qw(header trailer)) {
		my $response = $server->get("/?method=$method");

		is($response->status, 200, "res:$method: the answer leaves with all that fit");
		like($response->body, qr/\A\d+ .*res:$method: more than 200 fields, or more bytes/, 'and the app was told');
		is($server->get("/?method=$method&raise=1")->status, 500, 'an error that is not caught is a 500');
		ok($server->wait_log(qr/res:$method: more than 200 fields/), 'which is logged');
	}
};

done_testing();
