package Test::Luaserv::Util;

# Small things every part of the test system needs: where the build is, deadlines, files, ports, commands.

use v5.36;
use Exporter 'import';
use Cwd qw(abs_path);
use Fcntl qw(LOCK_EX LOCK_NB F_SETFD);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Spec;
use POSIX qw(WNOHANG);
use Socket qw(AF_INET SOCK_STREAM INADDR_LOOPBACK pack_sockaddr_in);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(
    repo_root build_name build_dir server_binary seconds now wait_for slurp spew append_file
    claim_port exec_child reap run_command unescape test_modes fault_points descendants alive freeze list_of command_line
);

# t/lib/Test/Luaserv/Util.pm is four folders below the root.
my $root = abs_path(dirname(__FILE__) . '/../../../..');

sub repo_root { return $root }
sub build_name { return $ENV{LUASERV_TEST_BUILD} || (fault_points() ? 'asan' : 'release') }
sub server_binary { return $ENV{LUASERV_BIN} || "$root/build/" . build_name() . '/bin/luaserv' }
sub build_dir { return dirname(dirname(server_binary())) }
sub test_modes { return split /[\s,]+/, ($ENV{LUASERV_TEST_MATRIX} || 'process,base') }

# What the server is to do wrong on purpose (src/base/faults.def); such a server comes from build/asan, which has fault points. Not read_byte: apps
# without framing get what was read, and their tests count on that.
my $chaos = 'accept_again=2,read_again=3,write_again=3,write_byte=2';

sub fault_points {
	my $wanted = $ENV{LUASERV_TEST_CHAOS} || '';
	return join ',', ($wanted eq '1' ? $chaos : $wanted) || (), $ENV{LUASERV_TEST_GCSTRESS} ? 'collect' : ();
}

# Deadlines are written for a release build on a busy machine; sanitizers get more.
my %slowness = (release => 1, asan => 5, tsan => 10, valgrind => 20);

sub seconds ($n) { return $n * ($ENV{LUASERV_TEST_SLOWNESS} || ($slowness{ build_name() } || 1) * (fault_points() ? 2 : 1)) }

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# Looks at a condition until it holds, less often as time goes by, at least every `$longest` seconds. Returns its
# value, or nothing when the deadline has passed.
sub wait_for ($condition, $limit = 5, $longest = 0.02) {
	my $end = now() + seconds($limit);
	my $pause = 0.001;

	for (;;) {
		my $value = $condition->();
		return $value if $value;
		return if now() > $end;
		select undef, undef, undef, $pause;
		$pause *= 1.5 if $pause < $longest;
	}
}

sub list_of ($value = undef) { return !defined $value ? () : ref $value eq 'ARRAY' ? @$value : ($value) }

sub slurp ($path) {
	open my $file, '<:raw', $path or return '';
	local $/ = undef;
	return <$file> // '';
}

sub write_file ($how, $path, @text) {
	make_path(dirname($path));
	open my $file, "$how:raw", $path or die "$path cannot be written: $!\n";
	print $file @text;
	close $file or die "$path cannot be written: $!\n";
}

sub spew ($path, @text) { return write_file('>', $path, @text) }
sub append_file ($path, @text) { return write_file('>>', $path, @text) }

# "\r\n", "\t", "\\", "\xff" in the texts of a test become the bytes.
my %escapes = (r => "\r", n => "\n", t => "\t", 0 => "\0", '\\' => '\\');

sub unescape ($text) {
	return $text =~ s{\\(?:x([0-9a-fA-F]{2})|([rnt0\\]))}{defined $1 ? chr hex $1 : $escapes{$2}}ger;
}

# ---- ports ---------------------------------------------------------------------------------------

my %claimed;

# A port that nobody listens on, below the kernel's ephemeral range. The lock keeps other test processes off
# it for as long as this one lives.
sub claim_port {
	my $locks = File::Spec->tmpdir . '/luaserv-test-ports';

	make_path($locks);
	for (1 .. 2000) {
		my $port = 10_000 + int rand 22_000;
		next if $claimed{$port};
		open my $lock, '>', "$locks/$port" or next;
		next if !flock $lock, LOCK_EX | LOCK_NB;
		next if !port_is_free($port);
		$claimed{$port} = $lock;
		return $port;
	}
	die "No free port was found between 10000 and 32000.\n";
}

sub port_is_free ($port) {
	socket my $probe, AF_INET, SOCK_STREAM, 0 or return 0;
	return bind($probe, pack_sockaddr_in($port, INADDR_LOOPBACK)) && listen($probe, 1);
}

# ---- processes -----------------------------------------------------------------------------------

# Starts a program. `out` and `err` are files, `keep` is a handle that it inherits, `env` is laid over a clean
# environment.
sub exec_child (%o) {
	my $pid = fork // die "fork: $!\n";
	return $pid if $pid;

	# From here on only exec or _exit: END blocks belong to the parent.
	eval {
		$SIG{$_} = 'DEFAULT' for qw(PIPE INT TERM HUP __DIE__);
		delete @ENV{ grep { /^LUASERV_/ } keys %ENV };
		$ENV{$_} = $o{env}{$_} for keys %{ $o{env} || {} };
		chdir $o{cwd} or die "chdir $o{cwd}: $!\n" if defined $o{cwd};
		open STDIN, '<', '/dev/null' or die "/dev/null: $!\n";
		open STDOUT, '>>', $o{out} or die "$o{out}: $!\n";
		open STDERR, '>>', $o{err} or die "$o{err}: $!\n";
		fcntl $o{keep}, F_SETFD, 0 or die "fcntl: $!\n" if $o{keep};
		no warnings 'exec';
		exec { $o{argv}[0] } @{ $o{argv} } or die "$o{argv}[0] cannot be run: $!\n";
	};
	print STDERR $@;
	POSIX::_exit(127);
}

# Waits for a child of ours. Its status as a shell would tell it (128 + signal); nothing if it does not end.
sub reap ($pid, $limit) {
	my $status;

	wait_for(sub {
		my $got = waitpid $pid, WNOHANG;
		$status = $got == $pid ? $? : -1 if $got;
		return $got;
	}, $limit) or return;
	return if $status == -1;
	return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

my $command_count = 0;

# Runs a program to its end: (exit code, standard output, standard error). Code 124: it did not end in time.
sub run_command (%o) {
	my $base = File::Spec->tmpdir . "/luaserv-test-$$-" . ++$command_count;
	my $pid = exec_child(%o, out => "$base.out", err => "$base.err");
	my $code = reap($pid, $o{timeout} // 20);

	if (!defined $code) {
		kill KILL => $pid;
		waitpid $pid, 0;
		$code = 124;
	}
	my @result = ($code, slurp("$base.out"), slurp("$base.err"));
	unlink "$base.out", "$base.err";
	return @result;
}

# Splits a command line as a shell would, without expanding anything.
sub command_line ($text) {
	my @words;

	while ($text =~ /\G\s*((?:'[^']*'|"[^"]*"|[^\s'"])+)/gc) {
		push @words, $1 =~ s/'([^']*)'|"([^"]*)"/$1 \/\/ $2/ger;
	}
	return @words;
}

sub alive ($pid) {
	my ($state) = slurp("/proc/$pid/stat") =~ /\) (\S)/;
	return defined $state && $state ne 'Z' && $state ne 'X';
}

# Stops processes by SIGSTOP, and comes back when every thread of them has stopped: one thread takes the signal and then
# stops the others, which may go on for a while on a busy machine. `kill CONT => @pids` lets them go on.
sub freeze (@pids) {
	kill STOP => @pids;
	wait_for(sub {
		return !grep { slurp($_) =~ /\) [^TtZX]/ } map { glob "/proc/$_/task/*/stat" } @pids;
	}) || die "processes @pids do not stop\n";
	return;
}

# All living processes below one.
sub descendants ($top) {
	my %children;

	for my $file (glob '/proc/[0-9]*/stat') {
		my ($pid, $parent) = slurp($file) =~ /\A(\d+) \(.*\) [^ZX] (\d+)/s or next;
		push @{ $children{$parent} }, $pid;
	}
	my @found = @{ $children{$top} || [] };
	for (my $i = 0; $i < @found; $i++) {
		push @found, @{ $children{ $found[$i] } || [] };
	}
	return @found;
}

1;
