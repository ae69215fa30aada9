package Test::Luaserv::Server;

# One luaserv under test: its folder, its ports, its life. Nothing here knows Test::More; the caller asks
# `problems`.

use v5.36;
use File::Path qw(make_path remove_tree);
use JSON::PP ();
use Test::Luaserv::Client;
use Test::Luaserv::Load;
use Test::Luaserv::Util qw(repo_root server_binary fault_points seconds now wait_for slurp spew claim_port exec_child reap
	run_command descendants alive);

my %running; # pid → server, of this process
my $owner = $$;

# Defaults of every test; undef leaves a setting to the app.
my %defaults = (worker_num => 1, reactor_num => 1);

# A server that is not yet started: text can be expanded, files be laid out.
sub new ($class, %o) {
	my $self = bless { mode => $o{mode} // 'process', ports => [claim_port()], seen => 0 }, $class;
	my $parent = repo_root() . '/t';

	# A unix socket's path in it must fit into 107 bytes.
	$parent = File::Spec->tmpdir if length $parent > 70;
	$self->{root} = "$parent/servroot-$self->{ports}[0]";
	$self->wipe;
	return $self;
}

# The folder of a failed block moves aside, so that its logs can be read.
sub wipe ($self) {
	rename $self->{root}, $self->{root} . '-failed-' . ++$self->{failures} if delete $self->{failed};
	remove_tree($self->{root});
	make_path("$self->{root}/logs");
	$self->{seen} = 0;
	return;
}

sub keep ($self) {
	$self->{failed} = 1;
	return "$self->{root}/logs (or $self->{root}-failed-" . (($self->{failures} // 0) + 1) . ')';
}

sub root ($self) { return $self->{root} }
sub mode ($self) { return $self->{mode} }
sub pid ($self) { return $self->{pid} }
sub port ($self, $n = 1) { return $self->{ports}[ $n - 1 ] //= claim_port() }
sub app_path ($self) { return "$self->{root}/app.lua" }
sub log_path ($self) { return "$self->{root}/logs/error.log" }
sub pid_path ($self) { return "$self->{root}/luaserv.pid" }

# What the ready line said.
sub ready ($self) { return $self->{ready} }

# An app's way to tell a test something: a line in $ROOT/notes, written at once.
my $note = 'local function note(...) local f = assert(io.open("$ROOT/notes", "a")) '
	. 'f:write(table.concat({...}, " "), "\n") f:close() end';

sub expand ($self, $text) {
	$text =~ s/\$NOTE\b/$note/g;
	$text =~ s/\$PORT_(\d+)\b/$self->port($1)/ge;
	$text =~ s/\$PORT\b/$self->port/ge;
	$text =~ s/\$ROOT\b/$self->{root}/g;
	$text =~ s/\$MODE\b/$self->{mode}/g;
	return $text;
}

# The line numbers stay.
sub write_app ($self, $text) {
	my $jit = ($ENV{LUASERV_TEST_JIT} // '') eq 'off' ? 'require "jit".off() ' : '';

	return spew($self->app_path, $jit . $self->expand($text));
}

# files: { 'lib/x.lua' => text }
sub write_files ($self, $files) {
	spew("$self->{root}/$_", $self->expand($files->{$_})) for keys %$files;
	return;
}

# ---- start and stop ------------------------------------------------------------------------------

sub options ($self, %settings) {
	my %all = (%defaults, mode => $self->{mode}, log_file => $self->log_path, pid_file => $self->pid_path,
		%settings);
	return map { ('-o', $self->expand("$_=$all{$_}")) } grep { defined $all{$_} } sort keys %all;
}

sub environment ($self, %more) {
	my $logs = "$self->{root}/logs";

	return (
		LUASERV_RUNTIME_DIR => $self->{root},
		ASAN_OPTIONS => "exitcode=99:log_path=$logs/asan:detect_stack_use_after_return=0",
		UBSAN_OPTIONS => "exitcode=99:log_path=$logs/ubsan:print_stacktrace=1",
		TSAN_OPTIONS => "exitcode=99:atexit_sleep_ms=0:log_path=$logs/tsan",
		LSAN_OPTIONS => "exitcode=99:log_path=$logs/lsan",
		(fault_points() ? (LS_FAULTS => fault_points()) : ()),
		%more,
	);
}

# start(app => text, files => {…}, settings => {…}, args => […], env => {…}, under => [ a command that runs the rest ])
# True when the server says that it is ready.
sub start ($self, %o) {
	$self->write_files($o{files}) if $o{files};
	$self->write_app($o{app}) if defined $o{app};
	$self->{settings} = $o{settings} || {};
	delete @$self{qw(exit_code ready)};
	pipe my $from, my $to or die "pipe: $!\n";
	$self->{pid} = exec_child(
		argv => [ @{ $o{under} || [] }, server_binary(), '-s', $self->app_path, $self->options(%{ $self->{settings} }),
			@{ $o{args} || [] }, '--ready-fd', fileno $to ],
		env => { $self->environment(%{ $o{env} || {} }) },
		cwd => $self->{root},
		keep => $to,
		out => "$self->{root}/logs/stdout",
		err => "$self->{root}/logs/stderr",
	);
	$running{ $self->{pid} } = $self;
	close $to;
	$self->{ready} = $self->read_ready($from);
	return 1 if $self->{ready};
	$self->{exit_code} = reap($self->{pid}, 2) // $self->kill_all;
	delete $running{ $self->{pid} };
	return 0;
}

sub read_ready ($self, $from) {
	my $end = now() + seconds(15);
	my $line = '';

	for (;;) {
		my $bits = '';
		vec($bits, fileno $from, 1) = 1;
		my $left = $end - now();
		return if $left <= 0 || !select $bits, undef, undef, $left;
		sysread $from, $line, 4096, length $line or return;
		return eval { JSON::PP::decode_json($line) } if $line =~ /\n/;
	}
}

# What a failed start said.
sub complaint ($self) { return slurp("$self->{root}/logs/stderr") . $self->log }
sub exit_code ($self) { return $self->{exit_code} }

# Asks the server to stop and waits; its exit code.
sub stop ($self) {
	return $self->{exit_code} if !$self->{pid} || !$running{ $self->{pid} };
	kill TERM => $self->{pid};
	$self->{exit_code} = $self->wait_exit(20) // do {
		push @{ $self->{trouble} }, 'The server did not stop within its time.';
		$self->kill_all;
	};
	return $self->{exit_code};
}

# Waits for the server to end by itself (or because it was told to); its exit code, or nothing.
sub wait_exit ($self, $limit = 10) {
	my $code = reap($self->{pid}, $limit) // return;
	delete $running{ $self->{pid} };
	return $self->{exit_code} = $code;
}

# The last resort: the master and what is below it, all of it ours.
sub kill_all ($self) {
	my @pids = ($self->{pid}, descendants($self->{pid}));

	kill KILL => @pids;
	my $code = reap($self->{pid}, 5);
	delete $running{ $self->{pid} };
	return $code // 137;
}

sub is_running ($self) { return $self->{pid} && $running{ $self->{pid} } && alive($self->{pid}) }

END {
	if ($$ == $owner) {
		local ($?, $!);
		$_->kill_all for values %running;
	}
}

# ---- the command line ----------------------------------------------------------------------------

# (exit code, output, errors) of a command that is told which server is meant.
sub cli ($self, $command, @args) { return $self->cli_bare($command, '-p', $self->pid_path, @args) }

# The same without that. What is in $self->{env} is laid over the environment.
sub cli_bare ($self, @args) {
	return run_command(argv => [ server_binary(), map { $self->expand($_) } @args ], cwd => $self->{root},
		env => { $self->environment(%{ $self->{env} || {} }) }, timeout => 40);
}

# status --json, decoded; nothing while no answer can be had.
sub status ($self) {
	my ($code, $out) = $self->cli('status', '--json');
	return if $code != 0;
	return eval { JSON::PP::decode_json($out) };
}

sub wait_status ($self, $condition, $limit = 10) {
	return wait_for(sub {
		my $status = $self->status or return;
		local $_ = $status;
		return $condition->($status) ? $status : undef;
	}, $limit, 0.1);
}

# Waits until no connection and no handler is left.
sub wait_idle ($self) {
	return $self->wait_status(sub { $_->{connections} == 0 && !grep { $_->{coroutines} } @{ $_->{workers} } });
}

# Waits until that process has been replaced and every worker is ready.
sub wait_respawn ($self, $old) {
	return $self->wait_status(sub { !grep { $_->{pid} == $old || $_->{state} ne 'ready' } @{ $_->{workers} } });
}

# Resident memory of all its processes, in kB.
sub resident ($self) {
	my $sum = 0;

	for my $pid ($self->{pid}, descendants($self->{pid})) {
		$sum += $1 if slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
	}
	return $sum;
}

sub worker_pids ($self) {
	my $status = $self->status or return;
	return map { $_->{pid} } sort { $a->{id} <=> $b->{id} } @{ $status->{workers} };
}

# reload(app => new text, files => {…}): (exit code, output, errors)
sub reload ($self, %o) {
	$self->write_files($o{files}) if $o{files};
	$self->write_app($o{app}) if defined $o{app};
	return $self->cli('reload', @{ $o{args} // [] });
}

# ---- what it says --------------------------------------------------------------------------------

sub log ($self) { return substr(slurp($self->log_path), $self->{seen}) }

# Later calls of log() begin here.
sub forget_log ($self) {
	$self->{seen} = length slurp($self->log_path);
	return;
}

sub wait_log ($self, $pattern, $limit = 10) { return wait_for(sub { $self->log =~ $pattern }, $limit) }

sub notes ($self) { return split /\n/, slurp("$self->{root}/notes") }

# Waits until the app has written so many notes; returns them.
sub wait_notes ($self, $count, $limit = 10) {
	wait_for(sub { scalar($self->notes) >= $count }, $limit);
	return $self->notes;
}

# ---- talking to it -------------------------------------------------------------------------------

sub client ($self, %o) {
	return Test::Luaserv::Client->connect((defined $o{path} ? () : (port => $self->port)), %o);
}

# One request on a connection of its own; the answer.
sub get ($self, $target = '/', %o) { return $self->client(%o)->get($target, close => 1, %o) }

# load(conns, target => '/', seconds => N): a load generator that runs until its stop().
sub load ($self, $conns = 10, %o) {
	return Test::Luaserv::Load->start(port => $self->port, conns => $conns, %o);
}

# ---- verdict -------------------------------------------------------------------------------------

# Tells that deaths which match are the test's doing.
sub expect_crash ($self, $pattern = qr/SIG(?:KILL|ABRT)/) {
	push @{ $self->{expected} }, $pattern;
	return $self;
}

my $alarming = qr/
	[Aa]ssertion\ .*failed | runtime\ error:\  | stack\ smashing
	| \bdied\ by\ SIG\w+ | \bSIG(?:SEGV|BUS|ILL|FPE)\b
/x;

# What no test may show: a sanitizer's report, a failed assertion, a process that died by a signal, a bad
# exit.
sub problems ($self) {
	my @found = @{ $self->{trouble} || [] };
	my @expected = @{ $self->{expected} || [] };

	for my $file (glob "$self->{root}/logs/{asan,ubsan,tsan,lsan}.*") {
		# The search for leaks at exit says so of a thread that is just ending; it reports nothing.
		my $report = slurp($file) =~ s/^==\d+==Unable to get registers from thread \d+\.\n//mgr;
		push @found, "A sanitizer reports:\n" . substr $report, 0, 4000 if $report ne '';
	}
	for my $line (split /\n/, slurp("$self->{root}/logs/stderr") . $self->log) {
		next if $line !~ $alarming;
		push @found, $line if !grep { $line =~ $_ } @expected;
	}
	my $code = $self->{exit_code} // 0;
	push @found, "The server ended with exit code $code." if $code && !@expected && $self->{ready};
	return @found;
}

# Called after a test that passed.
sub remove ($self) {
	remove_tree($self->{root});
	return;
}

1;
