package Test::Luaserv::Client;

# A client over TCP or a unix socket that never waits without a deadline, and a strict reader of HTTP/1.1
# answers that shares no code with the server. What goes wrong dies with a sentence; run_tests() and matrix()
# report it.

use v5.36;
use Errno qw(EAGAIN EWOULDBLOCK EINTR EINPROGRESS);
use Socket qw(AF_INET AF_UNIX SOCK_STREAM SOL_SOCKET SO_LINGER SO_RCVBUF SO_ERROR inet_aton pack_sockaddr_in
	pack_sockaddr_un unpack_sockaddr_in);
use Test::Luaserv::Util qw(seconds now);
use Test::Luaserv::Response;

# connect(port => N | path => P, host, from => address, timeout, rcvbuf)
sub connect ($class, %o) {
	my $self = bless { in => '', timeout => $o{timeout} // 5 }, $class;
	my $unix = defined $o{path};
	my $to = $unix ? pack_sockaddr_un($o{path})
		: pack_sockaddr_in($o{port}, inet_aton($o{host} // '127.0.0.1'));

	socket $self->{sock}, $unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
	setsockopt $self->{sock}, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} or die "SO_RCVBUF: $!\n" if $o{rcvbuf};
	bind $self->{sock}, pack_sockaddr_in(0, inet_aton($o{from})) or die "binding to $o{from}: $!\n" if $o{from};
	$self->{sock}->blocking(0);
	return $self if CORE::connect $self->{sock}, $to;

	my $where = $o{path} // "port $o{port}";
	die "connecting to $where: $!\n" if $! != EINPROGRESS && $! != EAGAIN;
	$self->wait_ready(1, now() + seconds($self->{timeout}))
		or die "connecting to $where took too long.\n";
	my $errno = unpack 'i', getsockopt($self->{sock}, SOL_SOCKET, SO_ERROR);
	if ($errno) {
		local $! = $errno;
		die "connecting to $where: $!\n";
	}
	return $self;
}

sub sock ($self) { return $self->{sock} }
sub local_port ($self) { return (unpack_sockaddr_in(getsockname $self->{sock}))[0] }

# Bytes that have come and that nobody has asked for.
sub unread ($self) { return $self->{in} }

sub wait_ready ($self, $for_writing, $end) {
	for (;;) {
		my $left = $end - now();
		return 0 if $left <= 0;
		my $bits = '';
		vec($bits, fileno $self->{sock}, 1) = 1;
		my $n = $for_writing ? select undef, $bits, undef, $left : select $bits, undef, undef, $left;
		return 1 if $n > 0;
	}
}

# ---- bytes ---------------------------------------------------------------------------------------

sub send ($self, $bytes) {
	my $end = now() + seconds($self->{timeout});
	my $sent = 0;

	while ($sent < length $bytes) {
		my $n = syswrite $self->{sock}, $bytes, 256 * 1024, $sent;
		if (defined $n) {
			$sent += $n;
			next;
		}
		next if $! == EINTR;
		die "sending: $!\n" if $! != EAGAIN && $! != EWOULDBLOCK;
		$self->wait_ready(1, $end)
			or die "The server took $sent of " . length($bytes) . " bytes, then no more.\n";
	}
	return $self;
}

# Reads once. How many bytes came; 0: the end; undef: nothing before `$end`. A reset counts as an end and is
# remembered.
sub fill ($self, $end) {
	for (;;) {
		return 0 if $self->{ended};
		my $n = sysread $self->{sock}, $self->{in}, 256 * 1024, length $self->{in};
		return $n if $n;
		if (defined $n || ($! != EAGAIN && $! != EWOULDBLOCK && $! != EINTR)) {
			$self->{reset} = !defined $n;
			$self->{ended} = 1;
			return 0;
		}
		$self->wait_ready(0, $end) or return;
	}
}

# Reads until $enough->() holds; dies at the end of the stream or at the deadline.
sub fill_until ($self, $what, $enough) {
	my $end = now() + seconds($self->{timeout});

	until ($enough->()) {
		my $n = $self->fill($end) // die "$what did not come in time; " . $self->shown . "\n";
		die "The connection ended before $what; " . $self->shown . "\n" if !$n;
	}
	return $self;
}

sub shown ($self) {
	my $text = $self->{in};
	my $length = length $text;

	$text = substr $text, 0, 200 if $length > 200;
	$text =~ s/\r/\\r/g;
	$text =~ s/\n/\\n/g;
	$text =~ s/([^\x20-\x7e])/sprintf '\x%02x', ord $1/ge;
	return "$length bytes are there: \"$text\"";
}

sub take ($self, $n) { return substr $self->{in}, 0, $n, '' }

sub recv ($self, $n) {
	$self->fill_until("$n bytes", sub { length $self->{in} >= $n });
	return $self->take($n);
}

# Everything up to and with a string.
sub recv_until ($self, $mark) {
	my $from = 0;

	$self->fill_until('the expected mark', sub { index($self->{in}, $mark, $from) >= 0 });
	return $self->take(index($self->{in}, $mark) + length $mark);
}

# What comes next, at least one byte.
sub recv_some ($self) {
	$self->fill_until('any byte', sub { length $self->{in} });
	return $self->take(length $self->{in});
}

# Everything until the server closes.
sub recv_all ($self) {
	my $end = now() + seconds($self->{timeout});

	for (;;) {
		my $n = $self->fill($end) // die "The server did not close; " . $self->shown . "\n";
		return $self->take(length $self->{in}) if !$n;
	}
}

# True when the server has closed and nothing is left; waits for one or the other.
sub ended ($self) {
	return 0 if length $self->{in};
	my $n = $self->fill(now() + seconds($self->{timeout})) // die "Neither a byte nor the end came in time.\n";
	return !$n;
}

# True when the server closes without sending anything more.
sub eof ($self) { return $self->recv_all eq '' }

# True when nothing comes for so long: the only way to see that something does not happen.
sub quiet ($self, $for = 0.1) {
	return 0 if length $self->{in};
	return !defined $self->fill(now() + $for);
}

# True when the connection is still open and silent at this moment.
sub open ($self) { return !defined $self->fill(now() + 0.001) || length $self->{in} > 0 }
sub was_reset ($self) { return $self->{reset} }

sub shutdown ($self) {
	CORE::shutdown $self->{sock}, 1;
	return $self;
}

sub close ($self) {
	CORE::close $self->{sock};
	return;
}

sub abort ($self) {
	setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	return $self->close;
}

# ---- HTTP ----------------------------------------------------------------------------------------

# request_text('GET', '/', headers => "A: b\n" | [name => value, …], body => …, close => 1)
sub request_text ($class, $method, $target, %o) {
	my $version = $o{version} // '1.1';
	my @fields = ref $o{headers} ? @{ $o{headers} }
		: map { split /:\s*/, $_, 2 } grep { /\S/ } split /\r?\n/, $o{headers} // '';
	my $text = "$method $target HTTP/$version\r\n";
	my %has;

	for (my $i = 0; $i < @fields; $i += 2) {
		$has{ lc $fields[$i] } = 1;
	}
	unshift @fields, Host => 'localhost' if !$has{host};
	push @fields, 'Content-Length' => length $o{body}
		if defined $o{body} && !$has{'content-length'} && !$has{'transfer-encoding'};
	push @fields, Connection => 'close' if $o{close} && !$has{connection};
	while (my ($name, $value) = splice @fields, 0, 2) {
		$text .= "$name: " . ($value // '') . "\r\n";
	}
	return "$text\r\n" . ($o{body} // '');
}

# Sends one request and reads its answer.
sub request ($self, $method, $target, %o) {
	$self->send($self->request_text($method, $target, %o));
	return $self->response(method => $method);
}

sub get ($self, $target, %o) { return $self->request('GET', $target, %o) }
sub post ($self, $target, $body, %o) { return $self->request('POST', $target, body => $body, %o) }

# The next answer. Interim ones (1xx) are put aside in its `interim`.
sub response ($self, %o) {
	my @interim;

	for (;;) {
		$self->fill_until('the end of a response head', sub { index($self->{in}, "\r\n\r\n") >= 0 });
		my $head = $self->take(index($self->{in}, "\r\n\r\n") + 4);
		my $response = Test::Luaserv::Response->parse($head);
		if ($response->status >= 200) {
			$response->{interim} = \@interim;
			$self->read_body($response, $o{method} // 'GET');
			return $response;
		}
		push @interim, $response;
	}
}

sub read_body ($self, $response, $method) {
	my $kind = $response->framing($method);

	if ($kind eq 'none') {
		$response->{body} = '';
	} elsif ($kind eq 'length') {
		$response->{body} = $self->recv($response->header('content-length'));
	} elsif ($kind eq 'chunked') {
		$response->{body} = join '', @{ $response->{chunks} = [ $self->read_chunks($response) ] };
	} else {
		$response->{body} = $self->recv_all;
	}
	return;
}

sub read_chunks ($self, $response) {
	my @chunks;

	for (;;) {
		my $line = $self->recv_until("\r\n");
		$line =~ /\A([0-9a-fA-F]{1,15})(?:;.*)?\r\n\z/
			or die "The size of a chunk is malformed: \"$line\"\n";
		my $size = hex $1;
		last if !$size;
		push @chunks, $self->recv($size);
		$self->recv(2) eq "\r\n" or die "A chunk does not end with CR LF.\n";
	}
	until ((my $trailer = $self->recv_until("\r\n")) eq "\r\n") {
		push @{ $response->{trailers} }, $trailer =~ s/\r\n\z//r;
	}
	return @chunks;
}

1;
