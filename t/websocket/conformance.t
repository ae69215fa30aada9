# What RFC 6455 and RFC 7692 ask of a server, case by case: framing, pings, reserved bits and opcodes, fragments, UTF-8, the closing
# handshake, large messages, compression. The groups follow the sections of the RFC.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::WebSocket;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.websocket("127.0.0.1", $PORT)
server:set { package_max_length = "4m", websocket_compression = true, websocket_compression_min_length = 1 }
server:listen("127.0.0.1", $PORT_2):set { websocket_context_takeover = true }
server:on("message", function(server, frame) server:push(frame.fd, frame.data, frame.opcode) end)
server:start()
LUA

my ($text, $binary, $close, $ping, $pong) = (1, 2, 8, 9, 10);

sub frame (@args) { return Test::Luaserv::WebSocket->frame(@args) }
sub code ($code, $reason = '') { return pack('n', $code) . $reason }

# Sends the pieces and reads what is expected: [opcode, payload], or a number, the code of the Close frame that ends it all.
sub holds ($ws, $pieces, @expected) {
	eval { $ws->client->send($_) for @$pieces; 1 } or $@ =~ /^sending: / or die $@;
	for my $wanted (@expected) {
		if (!ref $wanted) {
			my $got = $ws->close_code;
			return $got eq $wanted ? '' : "it ended with $got, not with $wanted";
		}
		my ($opcode, $payload) = $ws->read_message;
		return "it ended, wanted was opcode $wanted->[0]" if !defined $opcode;
		return "opcode $opcode came, not $wanted->[0]" if $opcode != $wanted->[0];
		return 'a payload of ' . length($payload) . ' bytes differs' if $payload ne $wanted->[1];
	}
	return '';
}

# Runs [title, pieces, expected …] each on a connection of its own, and ends those that are open in the right way.
sub run_cases ($server, @cases) {
	for my $case (@cases) {
		my ($title, $pieces, @expected) = @$case;
		my $wrong = eval {
			my $ws = Test::Luaserv::WebSocket->open($server);
			if (ref $expected[-1] || !@expected) {
				push @$pieces, frame($close, code(1000));
				push @expected, 1000;
			}
			holds($ws, $pieces, @expected);
		} // $@;
		is($wrong, '', $title);
	}
	return;
}

sub octets ($bytes) { return [ split //, $bytes ] }

sub echoed ($title, $opcode, $payload, @options) {
	return [ $title, [ frame($opcode, $payload, @options) ], [ $opcode, $payload ] ];
}

sub framing {
	my @cases = map { my $n = $_; (echoed("text of $n", $text, 'x' x $n), echoed("binary of $n", $binary, "\xfe" x $n)) }
		0, 1, 2, 7, 8, 9, 124 .. 129, 65_535, 65_536, 65_537;
	push @cases, map { [ "text of 65536 in pieces of $_", [ unpack "(a$_)*", frame($text, '*' x 65_536) ], [ $text, '*' x 65_536 ] ] } 997, 16_384;
	push @cases, [ 'a frame octet by octet', octets(frame($text, 'octets')), [ $text, 'octets' ] ];
	push @cases, [ 'a long frame, its head octet by octet', [ @{ octets(substr frame($binary, 'z' x 70_000), 0, 20) }, substr frame($binary, 'z' x 70_000), 20 ],
		[ $binary, 'z' x 70_000 ] ];
	push @cases, [ 'many frames at once', [ join '', map { frame($text, "m$_") } 1 .. 500 ], map { [ $text, "m$_" ] } 1 .. 500 ];
	push @cases, echoed("mask of $_->[0]", $text, 'masked text of some length', mask => $_->[1]) for [ zeros => "\0" x 4 ], [ ones => "\xff" x 4 ];
	push @cases, [ 'without a mask', [ frame($text, 'bare', mask => '') ], 1002 ];
	push @cases, [ 'an empty one without a mask', [ frame($text, '', mask => '') ], 1002 ];
	push @cases, [ "length $_->[0] in the form of $_->[1]", [ frame($binary, 'x' x $_->[0], form => $_->[1]) ], 1002 ]
		for [ 5, 2 ], [ 125, 2 ], [ 5, 8 ], [ 126, 8 ], [ 65_535, 8 ];
	push @cases, [ 'a length with the highest bit', [ frame($binary, '', length => 1 << 63, form => 8) ], 1002 ];
	push @cases, [ 'a length beyond package_max_length', [ frame($binary, '', length => (4 << 20) + 1) ], 1009 ];
	push @cases, [ 'a length of 2^62', [ frame($binary, '', length => 1 << 62, form => 8) ], 1009 ];
	push @cases, [ 'fragments beyond package_max_length', [ frame($binary, 'x' x (4 << 20), fin => 0), frame(0, 'x') ], 1009 ];
	return @cases;
}

sub pings {
	my @cases = map { my $p = $_; [ 'a ping of ' . length($p), [ frame($ping, $p) ], [ $pong, $p ] ] } '', 'Hello', "\0\xff\xfe" x 5, 'x' x 125;
	push @cases, [ 'a ping octet by octet', octets(frame($ping, 'p' x 125)), [ $pong, 'p' x 125 ] ];
	push @cases, [ 'ten pings', [ map { frame($ping, "p$_") } 1 .. 10 ], map { [ $pong, "p$_" ] } 1 .. 10 ];
	push @cases, [ 'ten pings at once', [ join '', map { frame($ping, "p$_") } 1 .. 10 ], map { [ $pong, "p$_" ] } 1 .. 10 ];
	push @cases, [ 'a ping of 126', [ frame($ping, 'x' x 126) ], 1002 ];
	push @cases, [ 'a pong that nobody asked for', [ frame($pong, 'x'), frame($ping, 'y') ], [ $pong, 'y' ] ];
	push @cases, [ 'an empty pong', [ frame($pong), frame($text, 'y') ], [ $text, 'y' ] ];
	push @cases, [ 'a pong of 126', [ frame($pong, 'x' x 126) ], 1002 ];
	return @cases;
}

sub reserved {
	my @cases;

	for my $rsv (1, 2, 3, 4, 5, 6, 7) {
		push @cases, [ "reserved bits $rsv in opcode $_", [ frame($text, 'first'), frame($_, $_ == $close ? code(1000) : 'x', rsv => $rsv) ], [ $text, 'first' ],
			1002 ] for $text, $binary, $close, $ping, $pong;
	}
	push @cases, [ "opcode $_", [ frame($text, 'first'), frame($_, 'x') ], [ $text, 'first' ], 1002 ] for 3 .. 7, 11 .. 15;
	push @cases, [ "opcode $_ without a payload", [ frame($_) ], 1002 ] for 3 .. 7, 11 .. 15;
	return @cases;
}

sub fragments {
	my ($one, $two) = (frame($text, 'one ', fin => 0), frame(0, 'two'));

	return ([ 'a ping in two', [ frame($ping, 'a', fin => 0), frame(0, 'b') ], 1002 ],
		[ 'a pong in two', [ frame($pong, 'a', fin => 0), frame(0, 'b') ], 1002 ],
		[ 'a close in two', [ frame($close, code(1000), fin => 0) ], 1002 ],
		[ 'a text in two', [ $one, $two ], [ $text, 'one two' ] ],
		[ 'a text in two, at once', [ $one . $two ], [ $text, 'one two' ] ],
		[ 'octet by octet', octets($one . $two), [ $text, 'one two' ] ],
		[ 'binary in two', [ frame($binary, "\0", fin => 0), frame(0, "\xff") ], [ $binary, "\0\xff" ] ],
		[ 'a ping between', [ $one, frame($ping, 'p'), $two ], [ $pong, 'p' ], [ $text, 'one two' ] ],
		[ 'a ping between, at once', [ $one . frame($ping, 'p') . $two ], [ $pong, 'p' ], [ $text, 'one two' ] ],
		[ 'a ping between, octet by octet', octets($one . frame($ping, 'p') . $two), [ $pong, 'p' ], [ $text, 'one two' ] ],
		[ 'pings between many', [ (map { frame($_ ? 0 : $text, $_, fin => 0), frame($ping, "p$_") } 0 .. 8), frame(0, 9) ], (map { [ $pong, "p$_" ] } 0 .. 8),
			[ $text, '012345678' . 9 ] ],
		[ 'a continuation of nothing', [ frame(0, 'x') ], 1002 ],
		[ 'a continuation of nothing, not the last', [ frame(0, 'x', fin => 0) ], 1002 ],
		[ 'a continuation after a whole message', [ frame($text, 'whole'), frame(0, 'x') ], [ $text, 'whole' ], 1002 ],
		[ 'a text within a text', [ $one, frame($text, 'x') ], 1002 ],
		[ 'a binary within a text', [ $one, frame($binary, 'x', fin => 0) ], 1002 ],
		[ 'the last one is empty', [ $one, frame(0, '') ], [ $text, 'one ' ] ],
		[ 'all are empty', [ frame($text, '', fin => 0), frame(0, '', fin => 0), frame(0, '') ], [ $text, '' ] ],
		[ 'the first one is empty', [ frame($text, '', fin => 0), frame(0, 'x', fin => 0), frame(0, '') ], [ $text, 'x' ] ],
		[ 'a hundred', [ map { frame($_ ? 0 : $binary, chr $_, fin => $_ == 99) } 0 .. 99 ], [ $binary, join '', map { chr } 0 .. 99 ] ],
		[ 'two messages of two', [ $one, $two, $one, $two ], ([ $text, 'one two' ]) x 2 ],
		[ 'the end in the middle', [ $one, frame($close, code(1000)) ], 1000 ]);
}

sub utf8 {
	my @good = ("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80", "\x7f", "\xdf\xbf", "\xef\xbf\xbf",
		"\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xf0\x9f\xbf\xbe", "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!");
	my @bad = ("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf",
		"\xf4\x90\x80\x80", "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80\xbf\x80", "\xc0 \xc1 ", "\xe0 \xe1 ", "\xf0 \xf1 ", "\xf5 ", "\xc0", "\xe0\x80", "\xf0\x80\x80", "\xdf", "\xef\xbf",
		"\xf7\xbf\xbf", "\xfe", "\xff", "\xfe\xfe\xff\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xed\xaf\xbf",
		"\xed\xb0\x80", "\xed\xbf\xbf", "\xed\xa0\x80\xed\xb0\x80", "long enough for words of eight\xff");
	my @cases;

	for my $i (0 .. $#good) {
		my $t = $good[$i];
		push @cases, echoed("sound text $i", $text, $t);
		push @cases, [ "sound text $i, a fragment for each octet", [ map { frame($_ ? 0 : $text, substr($t, $_, 1), fin => $_ == length($t) - 1) } 0 .. length($t) - 1 ],
			[ $text, $t ] ];
	}
	push @cases, [ 'sound text, octet by octet', octets(frame($text, $good[0])), [ $text, $good[0] ] ];
	for my $i (0 .. $#bad) {
		my $t = $bad[$i];
		push @cases, [ "unsound text $i", [ frame($text, $t) ], 1007 ];
		push @cases, [ "unsound text $i, in two", [ frame($text, substr($t, 0, 1), fin => 0), frame(0, substr $t, 1) ], 1007 ];
		push @cases, echoed("as binary, $i", $binary, $t);
	}
	push @cases, [ 'unsound text is refused before its end', [ frame($text, "fine \xff", fin => 0) ], 1007 ];
	push @cases, [ 'and before the end of its frame', [ substr frame($text, 'a' x 100 . "\xff" x 70_000), 0, 60_000 ], 1007 ];
	return @cases;
}

sub closing {
	my @cases = ([ 'with nothing', [ frame($close) ], 1005 ], [ 'with a code', [ frame($close, code(1000)) ], 1000 ],
		[ 'with a reason', [ frame($close, code(1000, 'Hello World!')) ], 1000 ],
		[ 'with the longest reason', [ frame($close, code(1000, '*' x 123)) ], 1000 ],
		[ 'with one too long', [ frame($close, code(1000, '*' x 124)) ], 1002 ],
		[ 'with half a code', [ frame($close, "\x03") ], 1002 ],
		[ 'with an unsound reason', [ frame($close, code(1000, "\xce\xba\xed\xa0\x80")) ], 1007 ],
		[ 'twice', [ frame($close, code(1000)), frame($close, code(1000)) ], 1000 ],
		[ 'then a ping', [ frame($close, code(1000)) . frame($ping, 'x') ], 1000 ],
		[ 'then a text', [ frame($close, code(1000)) . frame($text, 'x') ], 1000 ],
		[ 'then garbage', [ frame($close, code(1000)) . "\xff" x 1000 ], 1000 ],
		[ 'behind 256 KB', [ frame($text, 'x' x 262_144), frame($close, code(1000)) ], [ $text, 'x' x 262_144 ], 1000 ],
		[ 'octet by octet', octets(frame($close, code(1001, 'bye'))), 1001 ]);

	push @cases, [ "code $_", [ frame($close, code($_)) ], $_ ] for 1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999;
	push @cases, [ "code $_", [ frame($close, code($_)) ], 1002 ] for 0, 1, 999, 1004 .. 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535;
	return @cases;
}

sub limits {
	my @cases = map { my $n = $_ << 10; (echoed("text of $_ KB", $text, 'x' x $n), echoed("binary of $_ KB", $binary, pack 'L*', 0 .. $n / 4 - 1)) } 64, 256, 1024, 4096;

	for my $size (64, 4096, 65_536) {
		my @pieces = unpack "(a$size)*", '*' x 1_048_576;
		push @cases, [ "1 MB in fragments of $size", [ join '', map { frame($_ ? 0 : $text, $pieces[$_], fin => $_ == $#pieces) } 0 .. $#pieces ], [ $text, '*' x 1_048_576 ] ];
	}
	push @cases, [ '256 KB, written 64 bytes at a time', [ unpack '(a64)*', frame($binary, '*' x 262_144) ], [ $binary, '*' x 262_144 ] ];
	return @cases;
}

my %groups = ('framing' => \&framing, 'pings and pongs' => \&pings, 'reserved bits and opcodes' => \&reserved, 'fragments' => \&fragments, 'UTF-8' => \&utf8,
	'the closing handshake' => \&closing, 'large messages' => \&limits);

for my $group (sort keys %groups) {
	matrix $group => sub ($mode) {
		run_cases(start_server(app => $app), $groups{$group}->());
	};
}

# Compressed and plain messages of many sizes; the same words come again, so that context takeover has something to refer to.
sub converse ($ws, @sizes) {
	my $words = join ' ', map { "word$_" } 1 .. 20_000;

	for my $size (@sizes) {
		my ($t, $b) = (substr($words, 0, $size), pack 'L*', map { $_ * 2_654_435_761 % 4_294_967_296 } 1 .. $size / 4 + 1);
		$ws->send_shrunk($text, $t);
		my ($opcode, $payload) = $ws->read_message;
		return "a text of $size came back as opcode $opcode of " . length $payload if $opcode != $text || $payload ne $t;
		$ws->send($text, $t);
		($opcode, $payload) = $ws->read_message;
		return "a plain text of $size differs" if $opcode != $text || $payload ne $t;
		$ws->send_shrunk($binary, $b);
		($opcode, $payload) = $ws->read_message;
		return "what does not get shorter differs ($size)" if $opcode != $binary || $payload ne $b;
		my $shrunk = $ws->shrink($t);
		my $half = int length($shrunk) / 2;
		$ws->send($text, substr($shrunk, 0, $half), fin => 0, rsv => 4)->send($ping, 'p')->send(0, substr $shrunk, $half);
		($opcode, $payload) = $ws->read_message;
		return 'no pong came' if $opcode != $pong;
		($opcode, $payload) = $ws->read_message;
		return "a text of $size in two fragments differs" if $opcode != $text || $payload ne $t;
	}
	return '';
}

matrix 'compression, with and without context takeover' => sub ($mode) {
	my $server = start_server(app => $app);
	my %offers = ('permessage-deflate' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
		'permessage-deflate; client_max_window_bits' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
		'permessage-deflate; client_max_window_bits=9' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
		'permessage-deflate; server_max_window_bits=9' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9',
		'permessage-deflate; server_max_window_bits="12"' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12',
		'x-other, permessage-deflate;server_no_context_takeover' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
		'permessage-deflate; server_max_window_bits=8, permessage-deflate' => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
	my %kept = ('permessage-deflate' => 'permessage-deflate', 'permessage-deflate; server_no_context_takeover' => 'permessage-deflate; server_no_context_takeover',
		'permessage-deflate; client_no_context_takeover' => 'permessage-deflate; client_no_context_takeover',
		'permessage-deflate; server_max_window_bits=10' => 'permessage-deflate; server_max_window_bits=10');
	my @refused = ('permessage-bzip2', 'permessage-deflate; unknown', 'permessage-deflate; server_no_context_takeover=1', 'permessage-deflate; server_max_window_bits',
		'permessage-deflate; server_max_window_bits=8', 'permessage-deflate; server_max_window_bits=16', 'permessage-deflate; server_max_window_bits=09',
		'permessage-deflate; client_max_window_bits=7', 'permessage-deflate; client_no_context_takeover; client_no_context_takeover');

	for my $set ([ \%offers, $server->port ], [ \%kept, $server->port(2) ]) {
		my ($offers, $port) = @$set;
		for my $offer (sort keys %$offers) {
			my $ws = Test::Luaserv::WebSocket->open($server, deflate => $offer, port => $port);
			is($ws->field('sec-websocket-extensions'), $offers->{$offer}, "\"$offer\" is answered");
			is(converse($ws, 1, 16, 64, 256, 1024, 4096, 65_536, 131_072), '', 'messages survive');
		}
	}
	for my $offer (@refused) {
		my $ws = Test::Luaserv::WebSocket->open($server, deflate => $offer);
		is($ws->field('sec-websocket-extensions'), undef, "\"$offer\" is not accepted");
		is(holds($ws, [ frame($text, 'x', rsv => 4) ], 1002), '', 'and then not understood');
	}
};

matrix 'compression that breaks the rules' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $ws = sub { Test::Luaserv::WebSocket->open($server, deflate => 'permessage-deflate', @_) };
	my $bomb = $ws->()->shrink("\0" x (64 << 20));

	cmp_ok(length $bomb, '<', 1 << 20, 'a bomb is small');
	is(holds($ws->(), [ frame($binary, $bomb, rsv => 4) ], 1009), '', 'and refused');
	is(holds($ws->(port => $server->port(2)), [ frame($binary, $bomb, rsv => 4) ], 1009), '', 'also with a context');
	is(holds($ws->(), [ frame($text, "\xff\xff\xff\xff", rsv => 4) ], 1007), '', 'no stream');
	is(holds($ws->(), [ frame($ping, 'x', rsv => 4) ], 1002), '', 'a compressed ping');
	is(holds($ws->(), [ frame($close, code(1000), rsv => 4) ], 1002), '', 'a compressed close');
	is(holds($ws->(), [ frame($text, 'x', fin => 0), frame(0, 'x', rsv => 4) ], 1002), '', 'the bit in a continuation');
	my $one = $ws->();
	is(holds($one, [ frame($text, $one->shrink("\xff\xfe"), rsv => 4) ], 1007), '', 'unsound text inside');
	$one = $ws->();
	is(holds($one, [ frame($text, $one->shrink(''), rsv => 4), frame($text, '', rsv => 4) ], [ $text, '' ], [ $text, '' ]), '', 'empty messages');
	my $z = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
	my $final = '';
	$z->deflate('a stream with an end', $final);
	$z->flush($final);
	is(holds($one, [ (frame($text, $final, rsv => 4)) x 2 ], ([ $text, 'a stream with an end' ]) x 2), '', 'a stream that ends (RFC 7692 7.2.3.4)');
	cmp_ok($server->status->{workers}[0]{in_flight}, '==', 0, 'nothing is left');
};

done_testing();
