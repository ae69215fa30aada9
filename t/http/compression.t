# Compressed answers: who gets them, in which coding, and that what comes out is what went in.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Util qw(run_command);
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local text = ("the same words again, "):rep(2000)
local routes = {}
function routes.text(req, res) res:header("content-type", "text/plain; charset=utf-8"):finish(text) end
function routes.default(req, res) res:finish(text) end
function routes.short(req, res) res:finish(("x"):rep(255)) end
function routes.image(req, res) res:header("content-type", "image/png"):finish(text) end
function routes.own(req, res) res:header("content-encoding", "x-mine"):finish(text) end
function routes.fixed(req, res) res:header("cache-control", "public, no-transform"):finish(text) end
function routes.etag(req, res) res:header("etag", '"v1"'):header("vary", "Origin"):finish(text) end
function routes.weak(req, res) res:header("etag", 'W/"v1"'):header("vary", "origin, ACCEPT-ENCODING"):finish(text) end
function routes.random(req, res)
	local out, x = {}, 1
	for i = 1, 4000 do x = (x * 1103515245 + 12345) % 2 ^ 31 out[i] = string.char(math.floor(x / 2 ^ 20) % 256) end
	res:finish(table.concat(out))
end
function routes.pieces(req, res)
	for i = 1, 20 do res:write(("piece %d "):format(i)) luaserv.sleep(0.001) end
	res:finish(text)
end
function routes.open(req, res) for i = 1, 3 do res:write("part " .. i .. "\n") end end
function routes.wait(req, res) res:write("first\n") repeat luaserv.sleep(0.005) until not res:write("more\n") end
function routes.trailer(req, res) res:trailer("X-Sum", "42") res:write("a ") res:finish("b") end
function routes.large(req, res) res:write("begin ") for i = 1, 40 do res:write(text) end res:finish(" end") end
function routes.status(req, res) res:status(204):finish() end
function routes.fail(req, res) res:write("some") error("broken on purpose") end
server:on("request", function(req, res) return routes[req.path:sub(2)](req, res) end)
server:start()
LUA

my $text = 'the same words again, ' x 2000;

sub plain ($response) {
	my $coding = $response->header('content-encoding') // return $response->body;

	die "coding $coding\n" if $coding ne 'gzip';
	my $body = $response->body;
	gunzip(\$body => \my $out) or die "gunzip: $GunzipError\n";
	return $out;
}

matrix 'what is compressed, and what the answer says of it' => sub ($mode) {
	my $server = start_server(app => $app);
	my $get = sub ($path, $accept = 'gzip', $method = 'GET') { $server->client->request($method, $path, headers => "Accept-Encoding: $accept") };
	my $whole = $get->('/text');

	is($whole->header('content-encoding'), 'gzip', 'coded');
	is($whole->header('vary'), 'Accept-Encoding', 'caches are told');
	is($whole->header('content-length'), length $whole->body, 'with its length');
	cmp_ok(length $whole->body, '<', 1000, 'shorter');
	is(plain($whole), $text, 'and whole');
	my $head = $get->('/text', 'gzip', 'HEAD');
	is($head->header($_), $whole->header($_), "HEAD has the same $_") for qw(content-encoding content-length vary);
	is($get->('/default')->header('content-encoding'), 'gzip', 'the default type is text/html');
	my $without = $server->get('/text');
	is($without->header('content-encoding'), undef, 'not for one that does not ask');
	is($without->header('vary'), 'Accept-Encoding', 'but the answer depends on it');
	is($get->("/$_")->header('content-encoding'), undef, "not $_") for qw(short image fixed random status);
	is($get->("/$_")->header('vary'), undef, "which says nothing: $_") for qw(short image fixed status);
	is($get->('/own')->header('content-encoding'), 'x-mine', 'what the app has coded itself is left alone');
	my $etag = $get->('/etag');
	is($etag->header('etag'), 'W/"v1"', 'a strong validator becomes weak');
	is(join(', ', map { $etag->header($_) } 'vary'), 'Origin, Accept-Encoding', 'Vary is added to');
	my $weak = $get->('/weak');
	is($weak->header('etag'), 'W/"v1"', 'a weak one stays');
	is($weak->header('vary'), 'origin, ACCEPT-ENCODING', 'and a Vary that says it already');
};

matrix 'what the client wants' => sub ($mode) {
	my $server = start_server(app => $app);
	my %wants = ('gzip' => 'gzip', 'br' => 'br', 'gzip, br' => 'br', 'br;q=0.5, gzip' => 'gzip', 'gzip;q=0' => '', '*' => 'br', '*;q=0' => '', 'br;q=0, *' => 'gzip',
		'identity' => '', 'identity, gzip;q=0.5' => '', 'gzip;q=0.001' => 'gzip', 'x-gzip' => 'gzip', 'deflate' => '', 'GZIP' => 'gzip', '' => '', 'gzip;q=2' => '',
		'gzip;q=abc' => '', 'gzip; q=0.5, br;q=0.500' => 'br', 'notgzip' => '', 'gzip;level=9' => '', ',,gzip,,' => 'gzip');

	for my $accept (sort keys %wants) {
		my $response = $server->client->request('GET', '/text', headers => [ 'Accept-Encoding' => $accept ]);
		is($response->header('content-encoding') // '', $wants{$accept}, "\"$accept\"");
	}
	my ($code, $out) = run_command(argv => [ 'curl', '-s', '--compressed', '-H', 'Accept-Encoding: br', 'http://127.0.0.1:' . $server->port . '/text' ]);
	is_string($out, $text, 'curl reads br');
	($code, $out) = run_command(argv => [ 'curl', '-s', '--compressed', '-H', 'Accept-Encoding: br', 'http://127.0.0.1:' . $server->port . '/large' ]);
	is_string($out, 'begin ' . $text x 40 . ' end', 'and in pieces');
};

matrix 'bodies that leave in pieces' => sub ($mode) {
	my $server = start_server(app => $app);
	my $get = sub ($path) { $server->client->request('GET', $path, headers => 'Accept-Encoding: gzip') };
	my %whole = (pieces => join('', map { "piece $_ " } 1 .. 20) . $text, open => "part 1\npart 2\npart 3\n", trailer => 'a b', large => 'begin ' . $text x 40 . ' end');

	for my $path (sort keys %whole) {
		my $response = $get->("/$path");
		is($response->header('content-encoding'), 'gzip', "$path is coded");
		is($response->header('content-length'), undef, 'its length is not known');
		is_string(plain($response), $whole{$path}, 'and it is whole');
	}
	my $client = $server->client;
	$client->send("GET /wait HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
	$client->recv_until("\r\n\r\n");
	my ($size) = $client->recv_until("\r\n") =~ /^(\w+)/;
	my $piece = $client->recv(hex $size);
	my $z = IO::Uncompress::Gunzip->new(\$piece);
	is($z->getline, "first\n", 'a piece can be read when it comes');
	$client->close;
	my $failed = $server->client->send("GET /fail HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")->recv_all;
	unlike($failed, qr/\r\n0\r\n\r\n\z/, 'an answer that fails has no end');
	ok($server->wait_log(qr/broken on purpose/), 'the log says why');
	$server->forget_log;
};

matrix 'settings' => sub ($mode) {
	my $coding = sub ($path, %settings) {
		my $server = start_server(app => $app, settings => \%settings);
		my $coding = $server->client->request('GET', $path, headers => 'Accept-Encoding: gzip')->header('content-encoding') // '';
		$server->stop;
		return $coding;
	};

	is($coding->('/text', http_compression => 'false'), '', 'off');
	is($coding->('/short', http_compression_min_length => 255), 'gzip', 'a shorter minimum');
	is($coding->('/image', http_compression_types => 'image/png, text/plain'), 'gzip', 'other types');
	is($coding->('/default', http_compression_types => 'image/png, text/plain'), '', 'and only those');
	is($coding->('/image', http_compression_types => '*', http_compression_level => 9), 'gzip', 'all of them');
};

done_testing();
