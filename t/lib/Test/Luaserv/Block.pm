package Test::Luaserv::Block;

# One block of a test file: starts its server, plays its clients, compares.

use v5.36;
use Test::More;
use Test::LongString max => 300;
use Test::Luaserv::Client ();
use Test::Luaserv::Leak ();
use Test::Luaserv::Spec ();
use Test::Luaserv::Util qw(seconds wait_for list_of unescape slurp command_line test_modes now);

my %known = map { $_ => 1 } qw(
	app files settings env args modes must_die request more_headers pipelined_requests raw_request shutdown timeout
	abort ignore_response response_body response_body_like response_body_unlike response_body_filters response_headers
	response_headers_like raw_response_headers_like raw_response_headers_unlike error_code error_log no_error_log
	grep_error_log grep_error_log_out shutdown_error_log access_log notes tcp_send tcp_recv tcp_recv_like tcp_close
	tcp_path clients reload_app cli cli_out cli_err cli_rc signal kill expect_respawn expect_crash stats skip_eval todo
	ONLY SKIP LAST
);

sub read_all ($class, $handle) {
	my $text = join '', <$handle>;
	return map { $class->new($_) } Test::Luaserv::Spec->parse($text);
}

sub new ($class, $parsed) {
	my $self = bless { parsed => $parsed, name => $parsed->name }, $class;

	for my $section (@{ ($parsed->_section_order)[0] }) {
		$known{ $section =~ s/_\d+\z//r } or die "\"$self->{name}\" has an unknown section $section.\n";
	}
	return $self;
}

sub name ($self) { return $self->{name} }
sub has ($self, $section) { return exists $self->{parsed}{$section} }

# "modes: process (connections live in the reactors)"
sub runs_in ($self, $mode) {
	return 1 if !$self->has('modes');
	my ($modes, $reason) = $self->{parsed}{modes}[0] =~ /\A([\w,]+)\s+\((.+)\)\s*\z/
		or die "\"$self->{name}\" does not say why it does not run in every mode.\n";
	return scalar grep { $_ eq $mode } split /,/, $modes;
}

# A section's value with $PORT and its like put in; lists as array references.
sub value ($self, $section) {
	return if !$self->has($section);
	my @values = @{ $self->{parsed}{$section} };
	return $self->expand(@values == 1 ? $values[0] : \@values);
}

sub expand ($self, $value) {
	return [ map { $self->expand($_) } @$value ] if ref $value eq 'ARRAY';
	return ref $value || !defined $value ? $value : $self->{server}->expand($value);
}

sub text ($self, $section) { return ($self->value($section) // '') =~ s/\s+\z//r }
sub lines ($self, $section) { return map { ref $_ ? $_ : grep { /\S/ } split /\n/ } list_of($self->value($section)) }

# ---- the run -----------------------------------------------------------------------------------------------------------------

sub run ($self, $server, $last) {
	$self->{server} = $server;
	if (my ($tests, $condition) = $self->text('skip_eval') =~ /\A(\d+):\s*(.+)\z/s) {
		return plan(skip_all => "skipped: $condition") if eval $condition;
	}
	local $main::TODO = $self->text('todo') || undef;
	local $Test::Luaserv::Block::TODO = $main::TODO;

	eval { $self->play($last); 1 } or fail('it went on to the end') || diag($@);
	if ($last && $server->is_running) {
		$server->stop;
		$self->check_log('shutdown_error_log');
	}
	my @problems = $server->problems;
	is("@problems", '', 'nothing crashed, nobody complains') or diag(map { "$_\n" } @problems);
	diag('Logs: ' . $server->root . '/logs') if !Test::More->builder->is_passing;
	return;
}

sub play ($self, $last) {
	my $server = $self->{server};

	return $self->check_death if $self->has('must_die');
	$self->start if $self->has('app');
	$server->is_running or return fail('the server serves');
	$server->forget_log if !$self->has('app');
	$server->expect_crash($self->has('expect_crash') && $self->text('expect_crash') ? qr/$self->{parsed}{expect_crash}[0]/ : ())
		if $self->has('kill') || $self->has('expect_crash');
	$self->send_signals;
	$self->clients_of('');
	Test::Luaserv::Leak::check($server, sub { $self->clients_of('') }) if $ENV{LUASERV_TEST_LEAK};
	$self->reload if $self->has('reload_app');
	$self->run_cli;
	$self->check_stats;
	is_string(join("\n", $server->wait_notes(scalar $self->lines('notes'))), join("\n", $self->lines('notes')), 'notes')
		if $self->has('notes');
	$self->check_log('error_log');
	$self->check_no_error_log;
	$self->check_grep_log;
	$self->check_access_log;
}

# A Lua table of settings, one in a line: worker_num = 2,
sub settings ($self) {
	my %settings = $self->has('access_log') ? (access_log => '$ROOT/logs/access.log') : ();

	for my $line (split /,?[ \t]*\n/, $self->text('settings')) {
		next if $line =~ /\A\s*\z/;
		$line =~ /\A\s*(\w+)\s*=\s*(?:"(.*)"|'(.*)'|(\S.*?))\s*,?\s*\z/ or die "settings: \"$line\" is not name = value.\n";
		$settings{$1} = $2 // $3 // $4;
		$settings{$1} = undef if $settings{$1} eq 'nil';
	}
	return \%settings;
}

sub file_parts ($self) {
	my (undef, %files) = split /^>>>[ \t]*(\S+)[ \t]*\n/m, $self->value('files') // '';
	return \%files;
}

sub environment ($self) { return { map { split /=/, $_, 2 } $self->lines('env') } }

sub start ($self) {
	my $server = $self->{server};
	my %how = (app => $self->value('app'), files => $self->file_parts, settings => $self->settings,
		env => $self->environment, args => [ command_line($self->text('args')) ]);

	if ($server->is_running) {
		return if $self->swap(%how);
		$server->stop;
	}
	$server->wipe;
	delete @$server{qw(expected trouble)};
	$server->start(%how) or die 'The server did not start: ' . $server->complaint . "\n";
	return;
}

# LUASERV_TEST_RELOAD=1: the running server takes the block's app over, if only a reload is needed for that.
sub swap ($self, %how) {
	my $server = $self->{server};

	return 0 if !$ENV{LUASERV_TEST_RELOAD} || keys %{ $how{env} } || @{ $how{args} };
	return 0 if join('|', %{ $how{settings} }) ne join('|', %{ $server->{settings} });
	unlink $server->root . '/notes';
	$server->forget_log;
	my ($code) = $server->reload(%how);
	return $code == 0;
}

sub check_death ($self) {
	my $server = $self->{server};

	$server->stop if $server->is_running;
	$server->wipe;
	my $started = $server->start(app => $self->value('app'), files => $self->file_parts, settings => $self->settings,
		env => $self->environment, args => [ command_line($self->text('args')) ]);
	$server->stop if $started;
	ok(!$started, 'the server refuses to start');
	is($server->exit_code, $self->text('error_code') || 1, 'exit code');
	for my $pattern ($self->lines('error_log')) {
		like($server->complaint, ref $pattern ? $pattern : qr/\Q$pattern\E/, 'it says why');
	}
}

sub reload ($self) {
	my ($code, $out, $err) = $self->{server}->reload(app => $self->value('reload_app'));

	is($code, 0, 'the reload is accepted') or diag($out, $err);
	$self->clients_of('_2');
}

sub clients_of ($self, $suffix) {
	$self->http($suffix) if grep { $self->has("$_$suffix") } qw(request pipelined_requests raw_request);
	$self->tcp($suffix) if grep { $self->has("$_$suffix") } qw(tcp_send tcp_recv tcp_recv_like);
	$self->script($suffix) if $self->has("clients$suffix");
}

sub timeout ($self) { return ($self->text('timeout') =~ /([\d.]+)/)[0] // 5 }

# ---- HTTP --------------------------------------------------------------------------------------------------------------------

# "POST /path\nbody": ( method, target, version, body )
sub request_parts ($text) {
	my ($line, $body) = split /\n/, $text, 2;
	my ($method, $target, $version) = $line =~ m{\A(\S+)\s+(\S+)(?:\s+HTTP/(\S+))?\s*\z} or die "\"$line\" is no request.\n";
	return ($method, $target, $version, $body);
}

sub http ($self, $suffix) {
	my ($bytes, @methods) = $self->has("raw_request$suffix") ? $self->raw_bytes($suffix) : $self->request_bytes($suffix);
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
	chomp @texts if $self->{parsed}{_section_map}[0]{"request$suffix"} && $self->{parsed}{_section_map}[0]{"request$suffix"}{filters} !~ /eval/;
	for my $i (0 .. $#texts) {
		my ($method, $target, $version, $body) = request_parts($texts[$i]);
		push @methods, $method;
		$bytes .= Test::Luaserv::Client->request_text($method, $target, version => $version // '1.1', body => $body,
			headers => $headers[$i] // $headers[0], close => $i == $#texts);
	}
	return ([$bytes], @methods);
}

# As many answers are read as the block expects.
sub raw_bytes ($self, $suffix) {
	my @pieces = list_of($self->value("raw_request$suffix"));
	my ($count) = sort { $b <=> $a } 1, map { scalar list_of($self->value("$_$suffix")) } qw(response_body error_code response_body_like);
	my @methods = (join '', @pieces) =~ /^([A-Z]+) \S+ HTTP/mg;

	return (\@pieces, map { $methods[$_] // 'GET' } 0 .. $count - 1);
}

sub check_responses ($self, $suffix, @responses) {
	my @codes = list_of($self->value("error_code$suffix") // 200);

	for my $i (0 .. $#responses) {
		my $code = ($codes[$i] // $codes[0]) =~ s/\s+//gr;
		is($responses[$i]->status, $code, 'status') or diag($responses[$i]->head, $responses[$i]->body);
	}
	$self->check_bodies($suffix, map { $self->filtered($_->body) } @responses);
	$self->check_headers($suffix, $_) for $responses[0];
}

sub filtered ($self, $body) {
	no strict 'refs';
	for my $name (split ' ', $self->text('response_body_filters')) {
		$body = $name eq 'length' ? length $body : $name eq 'lc' ? lc $body : $name eq 'sort' ? join('', sort split /^/m, $body) : &{"main::$name"}($body);
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
	like($response->head, pattern($_), 'head') for list_of($self->value("raw_response_headers_like$suffix"));
	unlike($response->head, pattern($_), 'head') for list_of($self->value("raw_response_headers_unlike$suffix"));
}

# ---- raw TCP -----------------------------------------------------------------------------------------------------------------

# Steps: the first piece is sent, the first answer read, and so on. tcp_close: "client" shuts its sending side after the
# last piece and then wants the rest and the end; "server" must close by itself.
sub tcp ($self, $suffix) {
	my @send = list_of($self->value("tcp_send$suffix"));
	my @recv = list_of($self->value("tcp_recv$suffix"));
	my @like = list_of($self->value("tcp_recv_like$suffix"));
	my $close = $self->text("tcp_close$suffix");
	my $client = $self->{server}->client(timeout => $self->timeout, $self->has('tcp_path') ? (path => $self->text('tcp_path')) : ());
	my ($last) = sort { $b <=> $a } $#send, $#recv, $#like;

	for my $i (0 .. $last) {
		$client->send($send[$i]) if defined $send[$i];
		$client->shutdown if $close eq 'client' && $i == $#send;
		is_string($client->recv(length $recv[$i]), $recv[$i], 'received') if defined $recv[$i];
		like($close ? $client->recv_all : $client->recv_some, pattern($like[$i]), 'received') if defined $like[$i];
	}
	return is_string($client->recv_all, '', 'the server closes and sends nothing more') if $close;
	is_string($client->unread, '', 'nothing more came');
}

# Several clients: "A connect", "A > text\r\n", "A < text\r\n", "* < text", "A half", "A eof", "A close", "A quiet".
sub script ($self, $suffix) {
	my %clients;

	for my $line ($self->lines("clients$suffix")) {
		my ($who, $what, $rest) = $line =~ /\A\s*(\w+|\*)\s+(\S+)(?: (.*))?\z/ or die "clients: \"$line\"?\n";
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

# ---- the server --------------------------------------------------------------------------------------------------------------

# "KILL worker 0", "KILL manager", "USR1 master"
sub send_signals ($self) {
	my $server = $self->{server};
	my $before = $self->has('expect_respawn') ? $server->status : undef;

	for my $line ($self->lines('signal'), $self->lines('kill')) {
		my ($signal, $who, $id) = $line =~ /\A\s*(\w+)\s+(master|manager|worker)(?:\s+(\d+))?\s*\z/ or die "kill: \"$line\"?\n";
		my $status = $who eq 'master' ? undef : $server->status // die "There is no status.\n";
		my $pid = $who eq 'master' ? $server->pid : $who eq 'manager' ? $status->{manager_pid} : $status->{workers}[$id]{pid};
		kill $signal => $pid;
	}
	return if !$before;
	my $changed = $server->wait_status(sub ($now) { !grep {
		$_->{state} ne 'ready' || ($self->killed($_->{id}) && $_->{pid} == $before->{workers}[ $_->{id} ]{pid})
	} @{ $now->{workers} } });
	ok($changed, 'what was killed has been started again');
}

sub killed ($self, $id) { return scalar grep { /worker\s+$id\b/ } $self->lines('kill') }

sub run_cli ($self) {
	my @commands = list_of($self->value('cli')) or return;
	my @out = list_of($self->value('cli_out'));
	my @err = list_of($self->value('cli_err'));
	my @rc = list_of($self->value('cli_rc'));

	for my $i (0 .. $#commands) {
		my ($code, $out, $err) = $self->{server}->cli(command_line($commands[$i]));
		is($code, ($rc[$i] // 0) =~ s/\s+//gr, "exit code of $commands[$i]") or diag($out, $err);
		ref $out[$i] ? like($out, $out[$i], 'its output') : is_string($out, $out[$i], 'its output') if defined $out[$i];
		ref $err[$i] ? like($err, $err[$i], 'its errors') : is_string($err, $err[$i], 'its errors') if defined $err[$i];
	}
}

sub dig ($status, $path) {
	for my $step (grep { length } split /[.\[\]]+/, $path) {
		return if !ref $status;
		$status = ref $status eq 'ARRAY' ? $status->[$step] : $status->{$step};
	}
	return $status;
}

# "connections = 0", "workers[0].coroutines = 0", "requests >= 3"; waited for.
sub check_stats ($self) {
	for my $line ($self->lines('stats')) {
		my ($path, $operator, $wanted) = $line =~ /\A\s*(\S+)\s+(=|>=|<=)\s+(\S+)\s*\z/ or die "stats: \"$line\"?\n";
		my $got;
		my $holds = wait_for(sub {
			$got = dig($self->{server}->status // return, $path) // return;
			return $operator eq '=' ? $got eq $wanted : $operator eq '>=' ? $got >= $wanted : $got <= $wanted;
		}, $self->timeout);
		ok($holds, "stats: $line") or diag('It is ' . ($got // 'not there'));
	}
}

# ---- logs --------------------------------------------------------------------------------------------------------------------

my %levels = map { ("[$_]" => qr/^\S+ $_ /m) } qw(error warn notice info debug);

sub log_pattern ($value) { return ref $value ? $value : $levels{$value} // qr/\Q$value\E/ }

sub check_log ($self, $section) {
	for my $wanted ($self->lines($section)) {
		my $pattern = log_pattern($wanted);
		ok($self->{server}->wait_log($pattern, $section eq 'error_log' ? $self->timeout : 0), "the log has: $wanted")
			or diag($self->{server}->log);
	}
}

sub check_no_error_log ($self) {
	for my $unwanted ($self->lines('no_error_log')) {
		unlike($self->{server}->log, log_pattern($unwanted), "the log has no $unwanted");
	}
}

sub check_grep_log ($self) {
	my $pattern = $self->value('grep_error_log') // return;
	my $wanted = $self->value('grep_error_log_out') // '';
	my $found;

	$pattern = qr/\Q@{[ $pattern =~ s{\s+\z}{}r ]}\E/ if !ref $pattern;
	wait_for(sub {
		$found = join '', map { "$_\n" } $self->{server}->log =~ /($pattern)/g;
		return $found eq $wanted;
	}, $self->timeout);
	is_string($found, $wanted, 'what the log says of it');
}

sub check_access_log ($self) {
	for my $wanted ($self->lines('access_log')) {
		my $pattern = ref $wanted ? $wanted : qr/\Q$wanted\E/;
		my $path = $self->{server}->root . '/logs/access.log';
		ok(wait_for(sub { slurp($path) =~ $pattern }, $self->timeout), "the access log has: $wanted") or diag(slurp($path));
	}
}

1;
