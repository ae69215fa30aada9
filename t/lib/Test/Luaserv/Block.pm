package Test::Luaserv::Block;

# One block of a test file: starts its server, plays its clients, compares.

use v5.36;
use Test::More;
use Test::LongString max => 300;
use Test::Luaserv::Play ();
use Test::Luaserv::Leak ();
use Test::Luaserv::Spec ();
use Test::Luaserv::Util qw(wait_for list_of slurp command_line);

our @ISA = 'Test::Luaserv::Play';

my %known = map { $_ => 1 } qw(
	app files settings env args modes must_die request more_headers pipelined_requests raw_request
	shutdown timeout abort ignore_response response_body response_body_like response_body_unlike
	response_body_filters response_headers response_headers_like raw_response_headers_like
	raw_response_headers_unlike error_code error_log no_error_log grep_error_log grep_error_log_out
	shutdown_error_log access_log notes tcp_send tcp_recv tcp_recv_like tcp_close tcp_path clients
	reload_app cli cli_out cli_err cli_rc signal kill expect_respawn expect_crash stats
	skip_eval todo ONLY SKIP LAST
);

sub read_all ($class, $handle) {
	my $text = join '', <$handle>;
	return map { $class->new($_) } Test::Luaserv::Spec->parse($text);
}

sub new ($class, $parsed) {
	my $self = bless { parsed => $parsed, name => $parsed->name }, $class;

	for my $section (@{ ($parsed->_section_order)[0] }) {
		next if $known{ $section =~ s/_\d+\z//r };
		die "\"$self->{name}\" has an unknown section $section.\n";
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

# One text's lines, or the elements of a list; patterns stay patterns.
sub lines ($self, $section) {
	return map { ref $_ ? $_ : grep { /\S/ } split /\n/ } list_of($self->value($section));
}

# ---- the run -------------------------------------------------------------------------------------

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
	diag('Logs: ' . $server->keep) if !Test::More->builder->is_passing;
	return;
}

sub play ($self, $last) {
	my $server = $self->{server};

	return $self->check_death if $self->has('must_die');
	$self->start if $self->has('app');
	$server->is_running or return fail('the server serves');
	$server->forget_log if !$self->has('app');
	$server->expect_crash if $self->has('kill');
	$server->expect_crash(qr/@{[ $self->text('expect_crash') ]}/) if $self->has('expect_crash');
	$self->send_signals;
	$self->clients_of('');
	Test::Luaserv::Leak::check($server, sub { $self->clients_of('') }) if $ENV{LUASERV_TEST_LEAK};
	$self->reload if $self->has('reload_app');
	$self->run_cli;
	$self->check_stats;
	$self->check_notes;
	$self->check_log('error_log');
	$self->check_no_error_log;
	$self->check_grep_log;
	$self->check_access_log;
}

sub check_notes ($self) {
	my @wanted = $self->lines('notes') or return;
	my @notes = $self->{server}->wait_notes(scalar @wanted);

	return is_string(join("\n", @notes), join("\n", @wanted), 'notes');
}

# A Lua table of settings, one in a line: worker_num = 2,
sub settings ($self) {
	my %settings = $self->has('access_log') ? (access_log => '$ROOT/logs/access.log') : ();

	for my $line (split /,?[ \t]*\n/, $self->text('settings')) {
		next if $line =~ /\A\s*\z/;
		$line =~ /\A\s*(\w+)\s*=\s*(?:"(.*)"|'(.*)'|(\S.*?))\s*,?\s*\z/
			or die "settings: \"$line\" is not name = value.\n";
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

# What the server is started with.
sub how ($self) {
	return (
		app => $self->value('app'),
		files => $self->file_parts,
		settings => $self->settings,
		env => $self->environment,
		args => [ command_line($self->text('args')) ],
	);
}

sub start ($self) {
	my $server = $self->{server};
	my %how = $self->how;

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
	my $started = $server->start($self->how);
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

# ---- the server ----------------------------------------------------------------------------------

# "KILL worker 0", "KILL manager", "USR1 master"
sub send_signals ($self) {
	my $server = $self->{server};
	my $before = $self->has('expect_respawn') ? $server->status : undef;

	for my $line ($self->lines('signal'), $self->lines('kill')) {
		my ($signal, $who) = $line =~ /\A\s*(\w+)\s+(master|manager|worker\s+\d+)\s*\z/
			or die "kill: \"$line\"?\n";
		kill $signal => $self->pid_of($who);
	}
	return if !$before;
	my %old = map { $_->{id} => $_->{pid} } @{ $before->{workers} };
	my $changed = $server->wait_status(sub ($now) {
		my @workers = @{ $now->{workers} };
		return 0 if grep { $_->{state} ne 'ready' } @workers;
		return !grep { $self->killed($_->{id}) && $_->{pid} == $old{ $_->{id} } } @workers;
	});
	ok($changed, 'what was killed has been started again');
}

sub pid_of ($self, $who) {
	my $server = $self->{server};

	return $server->pid if $who eq 'master';
	my $status = $server->status // die "There is no status.\n";
	return $who =~ /(\d+)/ ? $status->{workers}[$1]{pid} : $status->{manager_pid};
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
		same($out, $out[$i], 'its output');
		same($err, $err[$i], 'its errors');
	}
}

# A text or a pattern, if one is wanted at all.
sub same ($got, $wanted, $name) {
	return if !defined $wanted;
	return ref $wanted ? like($got, $wanted, $name) : is_string($got, $wanted, $name);
}

sub dig ($status, $path) {
	for my $step (grep { length } split /[.\[\]]+/, $path) {
		return if !ref $status;
		$status = ref $status eq 'ARRAY' ? $status->[$step] : $status->{$step};
	}
	return $status;
}

my %compare = (
	'=' => sub ($got, $wanted) { $got eq $wanted },
	'>=' => sub ($got, $wanted) { $got >= $wanted },
	'<=' => sub ($got, $wanted) { $got <= $wanted },
);

# "connections = 0", "workers[0].coroutines = 0", "requests >= 3"; waited for.
sub check_stats ($self) {
	for my $line ($self->lines('stats')) {
		my ($path, $operator, $wanted) = $line =~ /\A\s*(\S+)\s+(=|>=|<=)\s+(\S+)\s*\z/
			or die "stats: \"$line\"?\n";
		my $got;
		my $holds = wait_for(sub {
			$got = dig($self->{server}->status // return, $path) // return;
			return $compare{$operator}->($got, $wanted);
		}, $self->timeout);
		ok($holds, "stats: $line") or diag('It is ' . ($got // 'not there'));
	}
}

# ---- logs ----------------------------------------------------------------------------------------

my %levels = map { ("[$_]" => qr/^\S+ $_ /m) } qw(error warn notice info debug);

sub log_pattern ($value) { return ref $value ? $value : $levels{$value} // qr/\Q$value\E/ }

sub check_log ($self, $section) {
	for my $wanted ($self->lines($section)) {
		my $pattern = log_pattern($wanted);
		my $limit = $section eq 'error_log' ? $self->timeout : 0;
		ok($self->{server}->wait_log($pattern, $limit), "the log has: $wanted")
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
		ok(wait_for(sub { slurp($path) =~ $pattern }, $self->timeout), "the access log has: $wanted")
			or diag(slurp($path));
	}
}

1;
