package Test::Luaserv::Upstream;

# A server that the test itself plays: what clients of the app meet. Its connections are Test::Luaserv::Client objects.

use v5.36;
use Socket qw(AF_INET AF_UNIX SOCK_STREAM SOL_SOCKET SO_RCVBUF SO_REUSEADDR inet_aton pack_sockaddr_in pack_sockaddr_un unpack_sockaddr_in);
use Test::Luaserv::Client;
use Test::Luaserv::Util qw(seconds now);

# listen(path => P | port => N, backlog => N, rcvbuf => bytes): on a path, or on 127.0.0.1; without a port on a free one.
sub listen ($class, %o) {
	my $self = bless {}, $class;
	my $unix = defined $o{path};
	my $at = $unix ? pack_sockaddr_un($o{path}) : pack_sockaddr_in($o{port} // 0, inet_aton('127.0.0.1'));

	socket $self->{sock}, $unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
	setsockopt $self->{sock}, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} or die "SO_RCVBUF: $!\n" if $o{rcvbuf};
	setsockopt $self->{sock}, SOL_SOCKET, SO_REUSEADDR, 1 or die "SO_REUSEADDR: $!\n" if !$unix;
	bind $self->{sock}, $at or die "bind: $!\n";
	listen $self->{sock}, $o{backlog} // 128 or die "listen: $!\n";
	return $self;
}

sub port ($self) { return (unpack_sockaddr_in(getsockname $self->{sock}))[0] }

# The next connection; dies when none comes in time.
sub accept ($self) {
	my $bits = '';

	vec($bits, fileno $self->{sock}, 1) = 1;
	select $bits, undef, undef, seconds(5) or die "Nobody connected in time.\n";
	CORE::accept my $sock, $self->{sock} or die "accept: $!\n";
	$sock->blocking(0);
	return bless { sock => $sock, in => '', timeout => 10 }, 'Test::Luaserv::Client';
}

sub close ($self) {
	CORE::close $self->{sock};
	return;
}

1;
