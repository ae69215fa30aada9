package Test::Luaserv::Load;

# A load generator in a process of its own: N keep-alive connections, one request at a time on each, every
# answer counted exactly. It connects anew only after an answer that says "Connection: close", as a browser
# would; any other end of a connection while a request is under way is a failed request.

use v5.36;
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use JSON::PP ();
use POSIX ();
use Socket qw(AF_INET AF_UNIX SOCK_STREAM IPPROTO_TCP TCP_NODELAY inet_aton pack_sockaddr_in
	pack_sockaddr_un);
use Test::Luaserv::Util qw(seconds now wait_for);

# start(port | path, conns => N, target => '/', seconds => limit, request => bytes)
sub start ($class, %o) {
	pipe my $from_child, my $to_parent or die "pipe: $!\n";
	pipe my $child_stop, my $stop or die "pipe: $!\n";
	my $pid = fork // die "fork: $!\n";

	if (!$pid) {
		close $from_child;
		close $stop;
		my $run = bless { %o, report => $to_parent, stop => $child_stop }, $class;
		eval { $run->run; 1 } or print STDERR "# load generator: $@";
		POSIX::_exit(0);
	}
	close $to_parent;
	close $child_stop;
	$from_child->blocking(0);
	return bless { pid => $pid, from => $from_child, stop => $stop, text => '', last => {} }, $class;
}

# ---- in the parent -------------------------------------------------------------------------------

# The newest counts that the child has told.
sub counts ($self) {
	my $n;

	1 while $n = sysread $self->{from}, $self->{text}, 65536, length $self->{text};
	$self->{gone} = 1 if defined $n;
	while ($self->{text} =~ s/\A(.*)\n//) {
		$self->{last} = JSON::PP::decode_json($1);
	}
	return $self->{last};
}

# Waits until so many further requests have been answered with 200: load is known to flow, without a sleep.
sub wait_ok ($self, $more = 100, $limit = 10) {
	my $goal = ($self->counts->{ok} // 0) + $more;
	my $over = wait_for(sub { ($self->counts->{ok} // 0) >= $goal || $self->{gone} }, $limit);
	return $over && !$self->{gone};
}

# Lets every request under way end and returns
# { ok, failed, closes, connects, codes => { 502 => n }, errors => [text] }.
sub stop ($self) {
	if ($self->{stop}) {
		close delete $self->{stop};
		wait_for(sub { $self->counts->{done} || $self->{gone} }, 30);
		kill KILL => $self->{pid} if !$self->{last}{done};
		waitpid $self->{pid}, 0;
	}
	return $self->counts;
}

sub DESTROY ($self) {
	local ($?, $!, $@);
	$self->stop if $self->{pid} && $self->{stop};
}

# ---- in the child --------------------------------------------------------------------------------

sub run ($self) {
	$SIG{$_} = 'IGNORE' for qw(PIPE INT);
	$SIG{TERM} = 'DEFAULT';
	$self->{request} //= 'GET ' . ($self->{target} // '/') . " HTTP/1.1\r\nHost: localhost\r\n\r\n";
	$self->{count} = { ok => 0, failed => 0, closes => 0, connects => 0, codes => {}, errors => [] };
	$self->{report}->blocking(0);
	$self->{patience} = seconds($self->{timeout} // 10);
	$self->{ends} = now() + ($self->{seconds} // 3600);
	$self->{by_fd} = [];
	$self->{watched} = '';
	vec($self->{watched}, fileno $self->{stop}, 1) = 1;
	$self->connect for 1 .. $self->{conns} // 1;
	$self->loop;
	$self->{count}{done} = 1;
	$self->{report}->blocking(1);
	$self->tell;
}

sub loop ($self) {
	my $stop_fd = fileno $self->{stop};
	my $next = 0;

	while ($self->{open} || !$self->{stopping}) {
		my $ready = $self->{watched};
		my $n = select $ready, undef, undef, 0.02;
		my $now = now();
		if ($n > 0) {
			my $bits = unpack 'b*', $ready;
			for (my $fd = index $bits, '1'; $fd >= 0; $fd = index $bits, '1', $fd + 1) {
				$fd == $stop_fd ? $self->finish : $self->readable($self->{by_fd}[$fd], $now);
			}
		}
		$self->finish if $now > $self->{ends};
		if ($now > $next) {
			$next = $now + 0.02;
			$self->tell;
			$self->expire($now);
			$self->replace;
		}
	}
}

sub finish ($self) {
	$self->{stopping} = 1;
	vec($self->{watched}, fileno $self->{stop}, 1) = 0;
}

sub tell ($self) {
	syswrite $self->{report}, JSON::PP::encode_json($self->{count}) . "\n";
}

sub errors ($self) { return @{ $self->{count}{errors} } }

sub failed ($self, $why) {
	$self->{count}{failed}++;
	push @{ $self->{count}{errors} }, $why if $self->errors < 5;
}

sub expire ($self, $now) {
	for my $conn (grep { $_ && $now - $_->{since} > $self->{patience} } @{ $self->{by_fd} }) {
		$self->failed('no answer in time to request ' . ($conn->{answered} + 1) . ' of a connection');
		$self->drop($conn);
	}
}

# Connections that failed are made again, but not faster than once in a turn of the clock.
sub replace ($self) {
	return if $self->{stopping};
	$self->connect for ($self->{open} // 0) + 1 .. $self->{conns} // 1;
}

sub connect ($self) {
	my $unix = defined $self->{path};
	my $to = $unix ? pack_sockaddr_un($self->{path})
		: pack_sockaddr_in($self->{port}, inet_aton('127.0.0.1'));

	socket my $sock, $unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
	if (!CORE::connect $sock, $to) {
		$self->failed("connect: $!");
		return;
	}
	setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1 if !$unix;
	$sock->blocking(0);
	my $conn = { sock => $sock, fd => fileno $sock, in => '', answered => 0 };
	$self->{count}{connects}++;
	$self->{by_fd}[ $conn->{fd} ] = $conn;
	vec($self->{watched}, $conn->{fd}, 1) = 1;
	$self->{open}++;
	$self->ask($conn, now());
}

sub drop ($self, $conn) {
	$self->{by_fd}[ $conn->{fd} ] = undef;
	vec($self->{watched}, $conn->{fd}, 1) = 0;
	close $conn->{sock};
	$self->{open}--;
}

sub ask ($self, $conn, $now) {
	$conn->{since} = $now;
	my $n = syswrite $conn->{sock}, $self->{request};
	return if defined $n && $n == length $self->{request};
	$self->failed(sprintf 'request %d of a connection cannot be sent: %s', $conn->{answered} + 1,
		defined $n ? 'short write' : "$!");
	$self->drop($conn);
}

sub readable ($self, $conn, $now) {
	my $n = sysread $conn->{sock}, $conn->{in}, 65536, length $conn->{in};

	if (!$n) {
		return if !defined $n && ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR);
		$self->failed(sprintf 'request %d of a connection: %s after %d bytes', $conn->{answered} + 1,
			defined $n ? 'closed' : "$!", length $conn->{in});
		return $self->drop($conn);
	}
	my $end = index $conn->{in}, "\r\n\r\n";
	return if $end < 0;

	my $head = substr $conn->{in}, 0, $end;
	if ($head !~ /\AHTTP\/1\.1 (\d{3})/) {
		$self->failed('not an HTTP answer: ' . substr $head, 0, 60);
		return $self->drop($conn);
	}
	my $code = $1;
	my $body = $head =~ /^content-length: *(\d+)/mi ? $1 : 0;
	return if length $conn->{in} < $end + 4 + $body;
	if (length $conn->{in} > $end + 4 + $body) {
		$self->failed('bytes behind the answer');
		return $self->drop($conn);
	}
	$self->answered($conn, $code, scalar($head =~ /^connection: *close/mi), $now);
}

sub answered ($self, $conn, $code, $closes, $now) {
	my $count = $self->{count};

	$count->{codes}{$code}++;
	$count->{ok}++ if $code == 200;
	$conn->{answered}++;
	$conn->{in} = '';
	if ($closes) {
		$count->{closes}++;
		$self->drop($conn);
		$self->connect if !$self->{stopping};
	} elsif ($self->{stopping}) {
		$self->drop($conn);
	} else {
		$self->ask($conn, $now);
	}
}

1;
