# Files of document_root: what is served, conditions and ranges, compressed ones beside, and that nothing outside is reached.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Util qw(run_command);
use IO::Compress::Gzip qw(gzip);

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:set { document_root = "$ROOT/public", static_cache_valid = 0 }
EXTRA
server:on("request", function(req, res) res:status(404):finish("the app: " .. req.method .. " " .. req.path) end)
server:start()
LUA

sub app_with ($extra) { return $app =~ s/^EXTRA$/$extra/mr }

sub serve ($extra = '', %o) {
	my $server = new_server(%o);
	my $public = $server->root . '/public';

	mkdir $_ for $public, "$public/docs", "$public/empty", "$public/a b", "$public/docs/deep";
	my %files = ('index.html' => "<p>home\n", 'style.CSS' => "body {}\n", 'docs/index.html' => "docs\n", 'docs/deep/note.txt' => "deep\n", 'a b/ü.txt' => "umlaut\n",
		'data' => join('', map { chr $_ % 251 } 0 .. 99_999), 'none.txt' => '', 'big' => 'B' x 3_000_000, 'percent%41.txt' => "percent\n");
	spew("$public/$_", $files{$_}) for keys %files;
	spew($server->root . '/secret.txt', "secret\n");
	symlink '../secret.txt', "$public/out.txt";
	symlink $server->root . '/secret.txt', "$public/abs.txt";
	symlink 'docs/index.html', "$public/inside.html";
	symlink '..', "$public/up";
	$server->start(app => app_with($extra)) or die 'It did not start: ' . $server->complaint . "\n";
	return ($server, $public, \%files);
}

matrix 'files, folders, and what is none' => sub ($mode) {
	my ($server, $public, $files) = serve();
	my $get = sub ($path, %o) { $server->client->request($o{method} // 'GET', $path, %o) };
	my %types = ('/index.html' => 'text/html', '/style.CSS' => 'text/css', '/data' => 'application/octet-stream', '/none.txt' => 'text/plain', '/big' => 'application/octet-stream');

	for my $path (sort keys %types) {
		my $response = $get->($path);
		is($response->status, 200, $path);
		is($response->header('content-type'), $types{$path}, 'its type');
		is($response->header('accept-ranges'), 'bytes', 'ranges are possible');
		ok($response->body eq $files->{ substr $path, 1 }, 'all of it');
		my $head = $get->($path, method => 'HEAD');
		is($head->header($_), $response->header($_), "HEAD says the same: $_") for qw(content-length etag last-modified content-type);
	}
	my %same = ('/' => '<p>home', '/docs/' => 'docs', '//docs//deep/./note.txt' => 'deep', '/a%20b/%C3%BC.txt' => 'umlaut', '/inside.html' => 'docs', '/index.html?x=1' => '<p>home',
		'/percent%2541.txt' => 'percent', '/%69ndex.html' => '<p>home', '/docs%2Findex.html' => 'docs');
	is($get->($_)->body, "$same{$_}\n", $_) for sort keys %same;
	is($get->('/docs')->status . ' ' . $get->('/docs?a=b')->header('location'), '301 /docs/?a=b', 'a folder without its slash');
	is($get->('//docs')->header('location'), '/docs/', 'which leads to no other host');
	is($get->($_)->body, "the app: GET $_", "the app gets $_") for '/missing', '/empty/', '/empty', '/index.html/', '/docs/deep/';
	is($get->('/index.html', method => 'POST', body => 'x')->body, 'the app: POST /index.html', 'and what is no GET or HEAD');
	my $pipe = $server->client->send(join '', map { "GET $_ HTTP/1.1\r\nHost: x\r\n\r\n" } '/index.html', '/missing', '/big');
	my @answers = map { $pipe->response->body } 1 .. 3;
	is(join(' ', map { length } @answers), '8 21 3000000', 'pipelined answers keep their order');
};

matrix 'nothing outside is reached' => sub ($mode) {
	my ($server, $public) = serve();
	my @outside = ('/../secret.txt', '/%2e%2e/secret.txt', '/..%2fsecret.txt', '/docs/../../secret.txt', '/docs/%2e%2e/%2e%2e/secret.txt', '/out.txt', '/abs.txt', '/up/secret.txt',
		'/.%2e/secret.txt', '//../secret.txt', '/docs/..%00/secret.txt', '/index.html%00.txt', '/%2e%2e%2f%2e%2e%2fetc/passwd', '/..\\secret.txt', '/%252e%252e/secret.txt',
		'/' . 'a/' x 2100 . 'x', '/' . 'n' x 300, '/docs/%2e%2e/index.html');

	for my $path (@outside) {
		my $response = eval { $server->client->request('GET', $path, close => 1) };
		like($response->body, qr/^the app: |^400 |^404 |^414 /, length $path > 60 ? 'a path of ' . length $path : $path);
	}
};

matrix 'conditions' => sub ($mode) {
	my ($server, $public) = serve();
	my $first = $server->get('/index.html');
	my ($etag, $date) = map { $first->header($_) } qw(etag last-modified);
	my $status = sub ($headers, $method = 'GET') { $server->client->request($method, '/index.html', headers => $headers)->status };
	my ($old, $new) = ('Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 2094 08:49:37 GMT');

	like($etag, qr/^"[0-9a-f]+-8"$/, 'a strong entity tag');
	is($status->($_->[0]), $_->[1], $_->[0] =~ s/\n/, /gr) for [ "If-None-Match: $etag", 304 ], [ "If-None-Match: W/$etag", 304 ], [ 'If-None-Match: *', 304 ],
		[ 'If-None-Match: "x"', 200 ], [ "If-None-Match: \"x\", $etag", 304 ], [ "If-Modified-Since: $date", 304 ], [ "If-Modified-Since: $old", 200 ], [ "If-Modified-Since: $new", 304 ],
		[ 'If-Modified-Since: yesterday', 200 ], [ 'If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT', 200 ], [ 'If-Modified-Since: Sun Nov  6 08:49:37 1994', 200 ],
		[ "If-None-Match: \"x\"\nIf-Modified-Since: $new", 200 ], [ "If-Match: $etag", 200 ], [ 'If-Match: "x"', 412 ], [ "If-Match: W/$etag", 412 ], [ 'If-Match: *', 200 ],
		[ "If-Unmodified-Since: $old", 412 ], [ "If-Unmodified-Since: $new", 200 ];
	is($status->("If-None-Match: $etag", 'HEAD'), 304, 'HEAD too');
	my $none = $server->client->request('GET', '/index.html', headers => "If-None-Match: $etag");
	is($none->body . $none->header('etag'), $etag, '304 has the tag and no body');
	is($none->header('content-type'), undef, 'and no type');
	spew("$public/index.html", "another one\n");
	is($status->("If-None-Match: $etag"), 200, 'a changed file has another tag');
	is($server->get('/index.html')->body, "another one\n", 'and is seen at once without a cache');
};

matrix 'ranges' => sub ($mode) {
	my ($server, $public, $files) = serve();
	my $etag = $server->get('/data')->header('etag');
	my $get = sub ($range, $path = '/data', $more = '', $method = 'GET') { $server->client->request($method, $path, headers => "Range: $range\n$more") };
	my %good = ('bytes=0-0' => [ 0, 0 ], 'bytes=0-99999' => [ 0, 99_999 ], 'bytes=10-19' => [ 10, 19 ], 'bytes=99990-' => [ 99_990, 99_999 ], 'bytes=-5' => [ 99_995, 99_999 ],
		'bytes=-1000000' => [ 0, 99_999 ], 'bytes=50000-1000000' => [ 50_000, 99_999 ], 'BYTES=1-2' => [ 1, 2 ]);

	for my $range (sort keys %good) {
		my ($from, $to) = $good{$range}->@*;
		my $response = $get->($range);
		is($response->status, 206, $range);
		is($response->header('content-range'), "bytes $from-$to/100000", 'says what it is');
		ok($response->body eq substr($files->{data}, $from, $to - $from + 1), 'is that');
	}
	for my $range ('bytes=100000-', 'bytes=100000-100001', 'bytes=-0') {
		my $response = $get->($range);
		is($response->status . ' ' . $response->header('content-range'), '416 bytes */100000', "$range cannot be");
	}
	is($get->($_)->status, 200, "\"$_\" is not looked at") for 'bytes=5-4', 'bytes=', 'bytes=x-y', 'lines=1-2', 'bytes=1-2,5-6', 'bytes=-', 'bytes', 'bytes=99999999999999999999-';
	is($get->('bytes=0-0', '/none.txt')->status, 416, 'nothing of nothing');
	is($get->('bytes=0-9', '/data', '', 'HEAD')->status, 200, 'HEAD has no ranges');
	is($get->('bytes=0-9', '/data', "If-Range: $etag")->status, 206, 'If-Range with its tag');
	is($get->('bytes=0-9', '/data', 'If-Range: "other"')->status, 200, 'with another');
	is($get->('bytes=0-9', '/data', 'If-Range: ' . $server->get('/data')->header('last-modified'))->status, 206, 'with its date');
	is($get->('bytes=0-9', '/data', 'If-Range: Sun, 06 Nov 1994 08:49:37 GMT')->status, 200, 'with another');
	ok($get->('bytes=2999990-', '/big')->body eq 'B' x 10, 'the end of a large one');
};

matrix 'locations, index files, headers, compressed ones' => sub ($mode) {
	my ($server, $public) = serve(<<'LUA');
server:set { static_handler_locations = { "/docs/", "/data" }, http_index_files = { "main.html", "index.html" }, static_cache_control = "max-age=60", static_precompressed = true }
LUA
	gzip(\("docs\n" x 100) => "$public/docs/index.html.gz");
	spew("$public/docs/index.html.br", 'as if by brotli');
	my $get = sub ($path, $accept = '') { $server->client->request('GET', $path, headers => $accept && "Accept-Encoding: $accept") };

	is($get->('/docs/')->body, "docs\n", 'below a location');
	is($get->('/docs/missing')->body, "404 Not Found\n", 'what is not there is 404');
	is($get->('/index.html')->body, 'the app: GET /index.html', 'elsewhere the app answers');
	is($get->('/docs/')->header('cache-control'), 'max-age=60', 'Cache-Control');
	is($get->('/docs/')->header('vary'), 'Accept-Encoding', 'Vary');
	my $br = $get->('/docs/', 'gzip, br');
	is($br->body . ' ' . $br->header('content-encoding') . ' ' . $br->header('content-type'), 'as if by brotli br text/html', 'the compressed one beside it');
	is($get->('/docs/', 'gzip')->header('content-encoding'), 'gzip', 'by what the client wants');
	is($get->('/docs/deep/note.txt', 'gzip')->header('content-encoding'), undef, 'if there is one');
	utime 1, 1, "$public/docs/index.html.gz";
	is($get->('/docs/', 'gzip')->header('content-encoding'), undef, 'that is not older');
	spew("$public/docs/main.html", "main\n");
	is($get->('/docs/')->body, "main\n", 'the first index file that is there');
};

matrix 'a cache, a reload, no request handler' => sub ($mode) {
	my ($server, $public) = serve('server:set { static_cache_valid = "1h", static_cache_max = 3 }');

	is($server->get('/index.html')->body, "<p>home\n", 'before');
	spew("$public/index.html", "changed\n");
	is($server->get('/index.html')->body, "<p>home\n", 'what is kept counts');
	$server->get($_) for '/data', '/style.CSS', '/none.txt', '/docs/';
	is($server->get('/index.html')->body, "changed\n", 'until others have taken its place');
	my ($code) = $server->reload(app => app_with('server:set { static_cache_control = "no-store" }'));
	is($code, 0, 'a reload');
	is($server->get('/index.html')->header('cache-control'), 'no-store', 'brings the new settings');
	my $other = new_server();
	mkdir $other->root . '/public';
	spew($other->root . '/public/x.txt', "x\n");
	ok($other->start(app => <<'LUA'), 'a server of files alone');
local server = require "luaserv".http("127.0.0.1", $PORT)
server:set { document_root = "$ROOT/public" }
server:start()
LUA
	is($other->get('/x.txt')->body, "x\n", 'serves them');
	is($other->get('/missing')->status, 404, 'what is not there is 404');
};

matrix 'mistakes are refused at start', process => 'no server starts', sub ($mode) {
	for my $case ([ '"/no/such/folder"', qr{document_root /no/such/folder: No such file or directory} ], [ '"$ROOT/app.lua"', qr{document_root \S+/app\.lua is no folder} ]) {
		my ($server, $code, $out, $err) = check_app(qq{local s = require "luaserv".http("127.0.0.1", 0)\ns:set { document_root = $case->[0] }\ns:start()\n});
		is($code, 1, "$case->[0] is refused");
		like($err, $case->[1], 'with the reason');
	}
	my ($server, $code, $out, $err) = check_app(qq{local s = require "luaserv".http("127.0.0.1", 0)\ns:set { document_root = "/tmp", static_handler_locations = "x/" }\ns:start()\n});
	like($err, qr{"x/" in static_handler_locations is not the beginning of a path; say "/x/"}, 'a location');
};

done_testing();
