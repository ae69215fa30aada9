package Test::Luaserv::WebSocket;

# A client of WebSocket that writes frames as it is told, wrong ones too, and reads strictly. It shares no code with the server.

use v5.36;
use Compress::Raw::Zlib;
use Digest::SHA qw(sha1_base64);
use Test::Luaserv::Client;

use constant KEY => 'dGhlIHNhbXBsZSBub25jZQ==';
use constant ACCEPT => sha1_base64(KEY . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';

# open($server, path => '/', port, headers => "Name: value\n…", deflate => offer, timeout): a WebSocket; dies unless it is accepted.
sub open ($class, $server, %o) {
	my ($self, $response) = $class->ask($server, %o);

	die "The handshake was answered $response->{status}.\n" if $response->{status} != 101;
	die "Sec-WebSocket-Accept is wrong.\n" if ($response->{fields}{'sec-websocket-accept'} // '') ne ACCEPT;
	die "It says no Upgrade: websocket.\n" if lc($response->{fields}{upgrade} // '') ne 'websocket';
	die "It says no Connection: Upgrade.\n" if lc($response->{fields}{connection} // '') ne 'upgrade';
	return $self;
}

# The same, whatever the answer: the client and { status, fields }.
sub ask ($class, $server, %o) {
	my $client = Test::Luaserv::Client->connect(port => $o{port} // $server->port, timeout => $o{timeout} // 10,
		(rcvbuf => $o{rcvbuf}) x!! $o{rcvbuf});
	my $self = bless { client => $client }, $class;
	my $head = join '', map { "$_\r\n" } 'GET ' . ($o{path} // '/') . ' HTTP/1.1', 'Host: test', 'Upgrade: websocket',
		'Connection: keep-alive, Upgrade', 'Sec-WebSocket-Key: ' . KEY, 'Sec-WebSocket-Version: 13',
		($o{deflate} ? "Sec-WebSocket-Extensions: $o{deflate}" : ()), split /\n/, $o{headers} // '';

	$client->send($o{raw} // "$head\r\n" . ($o{more} // ''));
	my $answer = $client->recv_until("\r\n\r\n");
	my ($line, @fields) = split /\r\n/, $answer;
	my ($status) = $line =~ m{^HTTP/1\.1 (\d{3}) } or die "No status line: $line\n";
	my %fields = map { /^([^:]+): (.*)$/ ? (lc $1 => $2) : die "No field: $_\n" } @fields;
	$self->agree($fields{'sec-websocket-extensions'}) if $fields{'sec-websocket-extensions'};
	$self->{fields} = \%fields;
	return ($self, { status => $status, fields => \%fields });
}

sub client ($self) { return $self->{client} }
sub field ($self, $name) { return $self->{fields}{ lc $name } }

# ---- compression ---------------------------------------------------------------------------------

sub agree ($self, $terms) {
	my ($name, @params) = split /\s*;\s*/, $terms;
	my %is = map { /^([^=]+)(?:=(.*))?$/ ? ($1 => $2 // 1) : () } @params;

	die "The extension $name was not asked for.\n" if $name ne 'permessage-deflate';
	$self->{terms} = \%is;
	$self->{deflate} = Compress::Raw::Zlib::Deflate->new(-WindowBits => -($is{client_max_window_bits} // 15), -AppendOutput => 1);
	$self->{inflate} = Compress::Raw::Zlib::Inflate->new(-WindowBits => -($is{server_max_window_bits} // 15), -AppendOutput => 1,
		-ConsumeInput => 1);
	return;
}

sub shrink ($self, $bytes) {
	my $out = '';

	$self->{deflate}->deflateReset if $self->{terms}{client_no_context_takeover};
	$self->{deflate}->deflate($bytes, $out);
	$self->{deflate}->flush($out, Z_SYNC_FLUSH);
	return substr $out, 0, -4;
}

sub expand ($self, $bytes) {
	my $out = '';
	my $in = "$bytes\0\0\xff\xff";

	$self->{inflate}->inflateReset if $self->{terms}{server_no_context_takeover};
	my $status = $self->{inflate}->inflate($in, $out);
	die "inflate: $status\n" if $status != Z_OK && $status != Z_BUF_ERROR;
	return $out;
}

# ---- frames --------------------------------------------------------------------------------------

# frame(opcode, payload, fin => 1, rsv => 0, mask => 4 bytes or '' for none, length => what the head says, form => 0|2|8)
sub frame ($class, $opcode, $payload = '', %o) {
	my $mask = $o{mask} // "\x12\x34\x56\x78";
	my $len = $o{length} // length $payload;
	my $form = $o{form} // ($len < 126 ? 0 : $len < 65536 ? 2 : 8);
	my $head = pack 'C', ($o{fin} // 1) << 7 | ($o{rsv} // 0) << 4 | $opcode;
	my $bit = $mask eq '' ? 0 : 0x80;

	$head .= $form == 0 ? pack('C', $bit | $len) : $form == 2 ? pack('Cn', $bit | 126, $len) : pack('CQ>', $bit | 127, $len);
	return $head . $payload if !$bit;
	return $head . $mask . ($payload ^. substr($mask x (1 + length($payload) / 4), 0, length $payload));
}

sub send ($self, @frame) {
	$self->{client}->send($self->frame(@frame));
	return $self;
}

# The same compressed, where that was agreed on.
sub send_shrunk ($self, $opcode, $payload) {
	return $self->send($opcode, $self->shrink($payload), rsv => 4);
}

# The next frame: { opcode, fin, rsv, payload }.  undef: the server has closed.
sub read_frame ($self) {
	my $client = $self->{client};

	return if $client->ended;
	my ($first, $second) = unpack 'CC', $client->recv(2);
	die "The server masks.\n" if $second & 0x80;
	my $len = $second & 127;
	if ($len >= 126) {
		$len = $len == 126 ? unpack('n', $client->recv(2)) : unpack 'Q>', $client->recv(8);
	}
	return { opcode => $first & 15, fin => $first >> 7, rsv => $first >> 4 & 7, payload => $len ? $client->recv($len) : '' };
}

# The next message: opcode and bytes, control frames too. Fragments are put together; () at the end.
sub read_message ($self) {
	for (;;) {
		my $frame = $self->read_frame // return;
		return ($frame->{opcode}, $frame->{payload}) if $frame->{opcode} >= 8;
		my $message = $self->{message};
		die "A message begins within another.\n" if $message && $frame->{opcode};
		die "A message has no beginning.\n" if !$message && !$frame->{opcode};
		die "Reserved bits $frame->{rsv}.\n" if $frame->{rsv} && !($frame->{rsv} == 4 && $self->{inflate} && !$message);
		$message = $self->{message} //= { %$frame, payload => '' };
		$message->{payload} .= $frame->{payload};
		next if !$frame->{fin};
		delete $self->{message};
		return ($message->{opcode}, $message->{rsv} ? $self->expand($message->{payload}) : $message->{payload});
	}
}

# The code of the Close frame with which the server ends, behind nothing else; 1005: none in it; 1006: no frame.
sub close_code ($self) {
	my ($opcode, $payload) = $self->read_message;

	return 1006 if !defined $opcode;
	return "opcode $opcode" if $opcode != 8;
	die "Something follows the Close frame.\n" if defined $self->read_frame;
	return length $payload ? unpack 'n', $payload : 1005;
}

1;
