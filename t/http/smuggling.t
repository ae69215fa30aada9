use lib 't/lib';
use Test::Luaserv;

# Requests that two parsers could read in two ways (RFC 9112 §11.2), and other malformed ones. Each is followed by an
# innocent request on the same connection: there must be exactly one answer, then the end.

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	note(req.method, req.path)
	res:finish("served\n")
end)
server:start()
LUA

my $get = "GET / HTTP/1.1\r\nHost: a\r\n";
my $post = "POST / HTTP/1.1\r\nHost: a\r\n";
my $chunked = "${post}Transfer-Encoding: chunked\r\n\r\n";

my @malformed = (
	# two framings
	[ 'Content-Length and Transfer-Encoding', 400, "${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	[ 'Transfer-Encoding and Content-Length', 400, "${post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" ],
	[ 'Content-Length and identity', qr/400|501/, "${post}Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello" ],
	[ 'two different lengths', 400, "${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" ],
	[ 'two equal lengths', 400, "${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" ],

	# lengths that are no numbers
	[ 'a list as length', 400, "${post}Content-Length: 5, 5\r\n\r\nhello" ],
	[ 'a length with a comma', 400, "${post}Content-Length: 5,\r\n\r\nhello" ],
	[ 'a length with a plus', 400, "${post}Content-Length: +5\r\n\r\nhello" ],
	[ 'a negative length', 400, "${post}Content-Length: -5\r\n\r\nhello" ],
	[ 'a length with a space in it', 400, "${post}Content-Length: 5 5\r\n\r\nhello" ],
	[ 'a hexadecimal length', 400, "${post}Content-Length: 0x5\r\n\r\nhello" ],
	[ 'a length with a letter', 400, "${post}Content-Length: 5a\r\n\r\nhello" ],
	[ 'a fractional length', 400, "${post}Content-Length: 5.0\r\n\r\nhello" ],
	[ 'an empty length', 400, "${post}Content-Length:\r\n\r\nhello" ],
	[ 'a length with a vertical tab', 400, "${post}Content-Length: \x0b5\r\n\r\nhello" ],
	[ 'a length over 64 bits', qr/400|413/, "${post}Content-Length: 18446744073709551621\r\n\r\nhello" ],
	[ 'a length of thirty digits', qr/400|413/, "${post}Content-Length: 100000000000000000000000000005\r\n\r\nhello" ],

	# transfer codings
	[ 'an unknown coding', qr/400|501/, "${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" ],
	[ 'identity', qr/400|501/, "${post}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" ],
	[ 'chunked twice', qr/400|501/, "${post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" ],
	[ 'chunked, then something else', qr/400|501/, "${post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" ],
	[ 'something else, then chunked', qr/400|501/, "${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" ],
	[ 'two fields, both chunked', qr/400|501/, "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	[ 'two fields, one identity', qr/400|501/, "${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" ],
	[ 'a coding with a parameter', qr/400|501/, "${post}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" ],
	[ 'a coding in quotes', qr/400|501/, "${post}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" ],
	[ 'a coding with a space in it', qr/400|501/, "${post}Transfer-Encoding: chun ked\r\n\r\n0\r\n\r\n" ],
	[ 'a coding behind a vertical tab', 400, "${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" ],
	[ 'an empty coding', qr/400|501/, "${post}Transfer-Encoding:\r\n\r\n0\r\n\r\n" ],
	[ 'chunked in HTTP/1.0', 400, "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],

	# field lines
	[ 'a space before the colon', 400, "${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" ],
	[ 'a tab before the colon', 400, "${post}Content-Length\t: 5\r\n\r\nhello" ],
	[ 'a folded line', 400, "${get}X: a\r\n b\r\n\r\n" ],
	[ 'a folded line with a tab', 400, "${get}X: a\r\n\tContent-Length: 5\r\n\r\n" ],
	[ 'a first field that begins with a space', 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n" ],
	[ 'a field without a colon', 400, "${get}X\r\n\r\n" ],
	[ 'a field without a name', 400, "${get}: x\r\n\r\n" ],
	[ 'a space in a name', 400, "${get}X Y: x\r\n\r\n" ],
	[ 'a parenthesis in a name', 400, "${get}X(Y): x\r\n\r\n" ],
	[ 'a byte over 127 in a name', 400, "${get}X\xffY: x\r\n\r\n" ],
	[ 'a NUL in a name', 400, "${post}Content-Length\0: 5\r\n\r\nhello" ],
	[ 'a NUL in a value', 400, "${get}X: a\0b\r\n\r\n" ],
	[ 'a control character in a value', 400, "${get}X: a\x01b\r\n\r\n" ],
	[ 'DEL in a value', 400, "${get}X: a\x7fb\r\n\r\n" ],
	[ 'a bare CR in a value', 400, "${get}X: a\rContent-Length: 5\r\n\r\n" ],
	[ 'a bare LF ends a line', 400, "${get}X: a\nContent-Length: 5\r\n\r\n" ],
	[ 'bare LFs end the head', 400, "GET / HTTP/1.1\nHost: a\n\n" ],
	[ 'a CR before CR LF', 400, "${get}X: a\r\r\n\r\n" ],
	[ 'an empty line of LF', 400, "${get}X: a\r\n\n" ],

	# Host
	[ 'no Host', 400, "GET / HTTP/1.1\r\n\r\n" ],
	[ 'two hosts', 400, "${get}Host: b\r\n\r\n" ],
	[ 'the same host twice', 400, "${get}Host: a\r\n\r\n" ],

	# request lines
	[ 'two spaces behind the method', 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a tab behind the method', 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a space before the method', qr/400|501/, " GET / HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a space in the target', qr/400|505/, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'no target', 400, "GET HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a target without a slash', 400, "GET foo HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'an authority as target', 400, "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'GET *', 400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a byte over 127 in the target', 400, "GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a NUL in the target', 400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a control character in the target', 400, "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a CR in the target', 400, "GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'no version', 400, "GET /\r\nHost: a\r\n\r\n" ],
	[ 'a space behind the version', qr/400|505/, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" ],
	[ 'version 2.0', 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n" ],
	[ 'version 1.2', 505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n" ],
	[ 'version 0.9', qr/400|505/, "GET / HTTP/0.9\r\nHost: a\r\n\r\n" ],
	[ 'a version in lower case', qr/400|505/, "GET / http/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a version without its minor part', qr/400|505/, "GET / HTTP/1\r\nHost: a\r\n\r\n" ],
	[ 'a version with too many digits', qr/400|505/, "GET / HTTP/1.10\r\nHost: a\r\n\r\n" ],
	[ 'an unknown method', 501, "FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a method in lower case', qr/400|501/, "get / HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'a method with a control character', qr/400|501/, "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n" ],
	[ 'CONNECT', qr/400|501/, "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" ],

	# chunks
	[ 'a size that is no number', 400, "${chunked}x\r\nhello\r\n0\r\n\r\n" ],
	[ 'an empty size', 400, "${chunked}\r\nhello\r\n0\r\n\r\n" ],
	[ 'a negative size', 400, "${chunked}-5\r\nhello\r\n0\r\n\r\n" ],
	[ 'a size with 0x', 400, "${chunked}0x5\r\nhello\r\n0\r\n\r\n" ],
	[ 'a size behind a space', 400, "${chunked} 5\r\nhello\r\n0\r\n\r\n" ],
	[ 'a size over 64 bits', qr/400|413/, "${chunked}10000000000000005\r\nhello\r\n0\r\n\r\n" ],
	[ 'a size that ends with LF', 400, "${chunked}5\nhello\r\n0\r\n\r\n" ],
	[ 'a bare CR behind the size', 400, "${chunked}5\rhello\r\n0\r\n\r\n" ],
	[ 'data longer than its size', 400, "${chunked}5\r\nhello!\r\n0\r\n\r\n" ],
	[ 'data that ends with LF', 400, "${chunked}5\r\nhello\n0\r\n\r\n" ],
	[ 'a NUL in an extension', 400, "${chunked}5;a=\0\r\nhello\r\n0\r\n\r\n" ],
	[ 'a bare LF in an extension', 400, "${chunked}5;a\nb\r\nhello\r\n0\r\n\r\n" ],
	[ 'a trailer without a colon', 400, "${chunked}5\r\nhello\r\n0\r\nX\r\n\r\n" ],
	[ 'a trailer that ends with LF', 400, "${chunked}5\r\nhello\r\n0\r\nX: a\n\r\n" ],

	# other protocols
	[ 'a TLS hello', 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . "\xaa" x 64 . "\r\n\r\n" ],
	[ 'HTTP/2 by prior knowledge', qr/400|501|505/, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" ],
	[ 'an SSH banner', qr/400|501|505/, "SSH-2.0-OpenSSH_9.2\r\n\r\n" ],
	[ 'an answer instead of a request', qr/400|501|505/, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" ],
);

matrix 'no malformed request is served, and nothing behind it' => sub ($mode) {
	my $server = start_server(app => $app);

	for my $case (@malformed) {
		my ($what, $status, $bytes) = @$case;
		my $client = $server->client;
		$client->send("${bytes}GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
		my $answer = eval { $client->response };
		my $rest = eval { $client->recv_all };
		my $code = $answer ? $answer->status : "none: $@";
		ok((ref $status ? $code =~ /\A(?:$status)\z/ : $code eq $status) && defined $rest && $rest eq '', $what)
			or diag("status $code, then ", defined $rest ? "\"$rest\"" : "no end: $@");
	}
	is_deeply([ grep { /second/ } $server->notes ], [], 'no request behind a malformed one reached the app');
	is($server->get('/')->status, 200, 'the server serves on');
};

matrix 'what only looks odd is served' => sub ($mode) {
	my $server = start_server(app => $app);
	my @odd = (
		[ 'an empty line before the request', "\r\n${get}\r\n" ],
		[ 'no space behind the colon', "${get}X:a\r\n\r\n" ],
		[ 'spaces around a value', "${get}X:  \t a \t \r\n\r\n" ],
		[ 'an empty value', "${get}X:\r\n\r\n" ],
		[ 'every token character in a name', "${get}!#\$%&'*+-.^_`|~09azAZ: a\r\n\r\n" ],
		[ 'a byte over 127 in a value', "${get}X: \xe4\r\n\r\n" ],
		[ 'a length with leading zeros', "${post}Content-Length: 0005\r\n\r\nhello" ],
		[ 'a coding in capitals', "${post}Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n" ],
		[ 'an empty Host', "GET / HTTP/1.1\r\nHost:\r\n\r\n" ],
		[ 'an offer to upgrade', "${get}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" ],
	);

	for my $case (@odd) {
		my $client = $server->client;
		$client->send($case->[1]);
		is(eval { $client->response->status } // $@, 200, $case->[0]);
		is(eval { $client->get('/next')->status } // $@, 200, "$case->[0]: and so is the next request");
	}
};

done_testing();
