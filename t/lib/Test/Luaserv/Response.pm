package Test::Luaserv::Response;

# The head of an HTTP/1.1 answer, read as strictly as RFC 9112 allows.

use v5.36;

my $token = qr/[!#\$%&'*+.^_`|~0-9A-Za-z-]+/;

sub parse ($class, $head) {
	my ($line, @lines) = split /\r\n/, $head;
	my $self = bless { head => $head, fields => [], body => '' }, $class;

	$line =~ /\AHTTP\/(1\.[01]) ([1-9][0-9]{2}) ([\t\x20-\x7e]*)\z/
		or die "The status line is malformed: \"$line\"\n";
	@$self{qw(version status reason)} = ($1, $2, $3);
	for my $field (@lines) {
		$field =~ /\A($token):[ \t]*([^\r\n\0]*?)[ \t]*\z/
			or die "A header field is malformed: \"$field\"\n";
		push @{ $self->{fields} }, [ $1, $2 ];
	}
	return $self;
}

sub version ($self) { return $self->{version} }
sub status ($self) { return $self->{status} }
sub reason ($self) { return $self->{reason} }
sub head ($self) { return $self->{head} }
sub body ($self) { return $self->{body} }
sub chunks ($self) { return @{ $self->{chunks} || [] } }
sub interim ($self) { return @{ $self->{interim} || [] } }
sub fields ($self) { return @{ $self->{fields} } }

# Every value of that name, in order; the first one in scalar context.
sub header ($self, $name) {
	my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name } @{ $self->{fields} };
	return wantarray ? @values : $values[0];
}

# The server says that it will close.
sub closes ($self) {
	my $connection = join ',', $self->header('connection');
	return $connection =~ /\bclose\b/i || ($self->{version} eq '1.0' && $connection !~ /\bkeep-alive\b/i);
}

# How the body is delimited: none, length, chunked or close. Dies when the head contradicts itself.
sub framing ($self, $method) {
	my @length = $self->header('content-length');
	my @coding = $self->header('transfer-encoding');

	die "There are several Content-Length fields.\n" if @length > 1;
	die "Content-Length is not a number: \"$length[0]\"\n" if @length && $length[0] !~ /\A[0-9]+\z/;
	die "There are both Content-Length and Transfer-Encoding.\n" if @length && @coding;
	die "Transfer-Encoding is \"@coding\".\n" if @coding && "@coding" ne 'chunked';
	return 'none' if $method eq 'HEAD' || $self->{status} == 204 || $self->{status} == 304;
	return 'chunked' if @coding;
	return 'length' if @length;
	return 'close';
}

1;
