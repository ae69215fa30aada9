package Test::Luaserv::Play;

# The clients of a block: HTTP, raw TCP and scripts of several clients. Block inherits from this; the sections
# come by its value(), text(), lines() and has().

use v5.36;
use Test::More;
use Test::LongString max => 300;
use Test::Luaserv::Client ();
use Test::Luaserv::Util qw(list_of unescape);

sub clients_of ($self, $suffix) {
	$self->http($suffix) if grep { $self->has("$_$suffix") } qw(request pipelined_requests raw_request);
	$self->tcp($suffix) if grep { $self->has("$_$suffix") } qw(tcp_send tcp_recv tcp_recv_like);
	$self->script($suffix) if $self->has("clients$suffix");
}

sub timeout ($self) { return ($self->text('timeout') =~ /([\d.]+)/)[0] // 5 }

# ---- HTTP ----------------------------------------------------------------------------------------

# "POST /path\nbody": ( method, target, version, body )
sub request_parts ($text) {
	my ($line, $body) = split /\n/, $text, 2;
	my ($method, $target, $version) = $line =~ m{\A(\S+)\s+(\S+)(?:\s+HTTP/(\S+))?\s*\z}
		or die "\"$line\" is no request.\n";
	return ($method, $target, $version, $body);
}

sub http ($self, $suffix) {
	my $raw = $self->has("raw_request$suffix");
	my ($bytes, @methods) = $raw ? $self->raw_bytes($suffix) : $self->request_bytes($suffix);
	my $client = $self->{server}->client(timeout => $self->timeout);

	for my $i (0 .. $#$bytes) {
		select undef, undef, undef, 0.02 if $i; # so that the pieces arrive apart
		$client->send($bytes->[$i]);
	}
	$client->shutdown if $self->has('shutdown');
	return $client->abort if $self->has('abort');
	return $client->recv_all if $self->has('ignore_response');

	my @responses = map { $client->response(method => $_) } @methods;
	if ($responses[-1]->closes || $self->has('shutdown')) {
		is_string($client->recv_all, '', 'the server closes, and nothing follows the answer');
	} else {
		is($client->unread, '', 'nothing follows the answer');
	}
	$self->check_responses($suffix, @responses);
}

sub request_bytes ($self, $suffix) {
	my @texts = list_of($self->value("pipelined_requests$suffix") // $self->value("request$suffix"));
	my @headers = list_of($self->value("more_headers$suffix"));
	my (@methods, $bytes);

	# The newline that ends the section is not part of the body; with `eval` every byte counts.
	my $section = $self->{parsed}{_section_map}[0]{"request$suffix"};
	chomp @texts if $section && $section->{filters} !~ /eval/;
	for my $i (0 .. $#texts) {
		my ($method, $target, $version, $body) = request_parts($texts[$i]);
		push @methods, $method;
		$bytes .= Test::Luaserv::Client->request_text($method, $target, version => $version // '1.1',
			body => $body, headers => $headers[$i] // $headers[0], close => $i == $#texts);
	}
	return ([$bytes], @methods);
}

# As many answers are read as the block expects.
sub raw_bytes ($self, $suffix) {
	my @pieces = list_of($self->value("raw_request$suffix"));
	my @counts = map { scalar(my @list = list_of($self->value("$_$suffix"))) }
		qw(response_body response_body_like error_code);
	my ($count) = sort { $b <=> $a } 1, @counts;
	my @methods = (join '', @pieces) =~ /^([A-Z]+) \S+ HTTP/mg;

	return (\@pieces, map { $methods[$_] // 'GET' } 0 .. $count - 1);
}

sub check_responses ($self, $suffix, @responses) {
	my @codes = list_of($self->value("error_code$suffix") // 200);

	for my $i (0 .. $#responses) {
		my $code = ($codes[$i] // $codes[0]) =~ s/\s+//gr;
		is($responses[$i]->status, $code, 'status')
			or diag($responses[$i]->head, $responses[$i]->body);
	}
	$self->check_bodies($suffix, map { $self->filtered($_->body) } @responses);
	$self->check_headers($suffix, $_) for $responses[0];
}

my %filters = (
	length => sub ($text) { length $text },
	lc => sub ($text) { lc $text },
	sort => sub ($text) { join '', sort split /^/m, $text },
);

# A filter is one of these or a function of the test file.
sub filtered ($self, $body) {
	no strict 'refs';
	for my $name (split ' ', $self->text('response_body_filters')) {
		$body = $filters{$name} ? $filters{$name}->($body) : &{"main::$name"}($body);
	}
	return $body;
}

sub pattern ($value) { return ref $value ? $value : qr/@{[ $value =~ s{\n\z}{}r ]}/s }

sub check_bodies ($self, $suffix, @bodies) {
	my @exact = list_of($self->value("response_body$suffix"));
	my @like = list_of($self->value("response_body_like$suffix"));
	my @unlike = list_of($self->value("response_body_unlike$suffix"));

	for my $i (0 .. $#bodies) {
		is_string($bodies[$i], $exact[$i], 'body') if defined $exact[$i];
		like($bodies[$i], pattern($like[$i]), 'body') if defined $like[$i];
		unlike($bodies[$i], pattern($unlike[$i]), 'body') if defined $unlike[$i];
	}
}

# "Name: value", "Name: pattern" (_like), "!Name": absent
sub check_headers ($self, $suffix, $response) {
	for my $like ('', '_like') {
		for my $line ($self->lines("response_headers$like$suffix")) {
			if ($line =~ /\A!\s*(\S+)/) {
				is_deeply([ $response->header($1) ], [], "there is no $1 field");
				next;
			}
			my ($name, $value) = split /:\s*/, $line, 2;
			my $got = join ', ', $response->header($name);
			$like ? like($got, qr/\A$value\z/, "field $name") : is($got, $value, "field $name");
		}
	}
	for my $wanted (list_of($self->value("raw_response_headers_like$suffix"))) {
		like($response->head, pattern($wanted), 'head');
	}
	for my $unwanted (list_of($self->value("raw_response_headers_unlike$suffix"))) {
		unlike($response->head, pattern($unwanted), 'head');
	}
}

# ---- raw TCP -------------------------------------------------------------------------------------

# Steps: the first piece is sent, the first answer read, and so on. tcp_close: "client" shuts its sending side
# after the last piece and then wants the rest and the end; "server" must close by itself.
sub tcp ($self, $suffix) {
	my @send = list_of($self->value("tcp_send$suffix"));
	my @recv = list_of($self->value("tcp_recv$suffix"));
	my @like = list_of($self->value("tcp_recv_like$suffix"));
	my $close = $self->text("tcp_close$suffix");
	my @where = $self->has('tcp_path') ? (path => $self->text('tcp_path')) : ();
	my $client = $self->{server}->client(timeout => $self->timeout, @where);
	my ($last) = sort { $b <=> $a } $#send, $#recv, $#like;

	for my $i (0 .. $last) {
		$client->send($send[$i]) if defined $send[$i];
		$client->shutdown if $close eq 'client' && $i == $#send;
		is_string($client->recv(length $recv[$i]), $recv[$i], 'received') if defined $recv[$i];
		next if !defined $like[$i];
		like($close ? $client->recv_all : $client->recv_some, pattern($like[$i]), 'received');
	}
	return is_string($client->recv_all, '', 'the server closes and sends nothing more') if $close;
	is_string($client->unread, '', 'nothing more came');
}

# Several clients: "A connect", "A > text\r\n", "A < text\r\n", "* < text", "A half", "A eof", "A close",
# "A abort", "A quiet".
sub script ($self, $suffix) {
	my %clients;

	for my $line ($self->lines("clients$suffix")) {
		my ($who, $what, $rest) = $line =~ /\A\s*(\w+|\*)\s+(\S+)(?: (.*))?\z/
			or die "clients: \"$line\"?\n";
		if ($what eq 'connect') {
			my @where = !defined $rest ? () : $rest =~ m{\A/} ? (path => $rest) : (port => $rest);
			$clients{$who} = $self->{server}->client(timeout => $self->timeout, @where);
			next;
		}
		for my $name ($who eq '*' ? sort keys %clients : $who) {
			my $client = $clients{$name} or die "clients: $name is not connected.\n";
			$self->script_step($name, $client, $what, unescape($rest // ''));
			delete $clients{$name} if $what =~ /\A(?:close|abort|eof)\z/;
		}
	}
}

sub script_step ($self, $name, $client, $what, $bytes) {
	return $client->send($bytes) if $what eq '>';
	return is_string($client->recv(length $bytes), $bytes, "$name receives") if $what eq '<';
	return $client->shutdown if $what eq 'half';
	return $client->close if $what eq 'close';
	return $client->abort if $what eq 'abort';
	return is_string($client->recv_all, '', "$name sees the end") if $what eq 'eof';
	return ok($client->quiet, "$name receives nothing") if $what eq 'quiet';
	die "clients: \"$what\" is no step.\n";
}

1;
