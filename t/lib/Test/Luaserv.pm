package Test::Luaserv;

# End-to-end tests of luaserv: blocks in the manner of Test::Nginx (run_tests) and plain Perl (matrix,
# start_server).
# t/README.md explains the sections, the Perl side and the environment.

use v5.36;
use Exporter ();
use feature ();
use Test::More;
use Test::LongString max => 300;
use Test::Luaserv::Block ();
use Test::Luaserv::Client ();
use Test::Luaserv::Leak ();
use Test::Luaserv::Server ();
use Test::Luaserv::Util qw(seconds now wait_for slurp spew append_file alive freeze descendants test_modes repo_root
	build_name server_binary);

our @ISA = 'Exporter';
our @EXPORT = (
	qw(run_tests matrix start_server new_server check_app),
	qw(seconds now wait_for slurp spew append_file alive freeze descendants test_modes repo_root build_name),
	qw(ok is isnt like unlike is_deeply cmp_ok pass fail diag note explain plan subtest),
	qw(done_testing is_string),
);

# Every test file has strict, warnings, say and signatures.
sub import ($class, @names) {
	strict->import;
	warnings->import;
	feature->import(':5.36');
	$SIG{PIPE} = 'IGNORE';
	$SIG{$_} = sub { exit 1 } for qw(INT TERM); # so that END stops the servers
	my $tap = Test::More->builder;
	binmode $_, ':utf8' for *STDOUT, *STDERR, $tap->output, $tap->failure_output;
	return $class->export_to_level(1, $class, @names);
}

if (!-x server_binary()) {
	plan(skip_all => 'There is no ' . server_binary() . '; build it or set LUASERV_BIN.');
}

# ---- plain Perl ----------------------------------------------------------------------------------

my ($mode, @servers);

# matrix 'what is proven' => sub ($mode) {…}: a subtest in each mode.
# matrix 'what is proven', process => 'why only there', sub {…}
sub matrix ($name, @rest) {
	my $code = pop @rest;
	my ($only, $reason) = @rest;

	die "\"$name\" does not say why it runs in $only mode only.\n" if defined $only && !defined $reason;
	for my $one (test_modes()) {
		if (defined $only && $one ne $only) {
			next if grep { $_ eq $only } test_modes();
			Test::More->builder->skip("$name [$one]: $reason");
			next;
		}
		subtest "$name [$one]" => sub {
			$mode = $one;
			eval { $code->($one); 1 } or fail("it went on to the end") || diag($@);
			finish_server($_) for splice @servers;
		};
	}
	return;
}

sub new_server (%o) {
	my $server = Test::Luaserv::Server->new(mode => $mode // 'process', %o);
	push @servers, $server;
	return $server;
}

# check_app(text, files => {…}, args => […]): the server, which was not started, and what `luaserv check` gave: code, output, errors.
sub check_app ($app, %o) {
	my $server = new_server();

	$server->write_app($app);
	$server->write_files($o{files}) if $o{files};
	return ($server, $server->cli_bare('check', '-s', $server->app_path, @{ $o{args} // [] }));
}

# start_server(app => text, settings => {…}, files => {…})
# A server that serves, or the test dies saying why not.
sub start_server (%o) {
	my $server = new_server(mode => $o{mode} // $mode // 'process');
	$server->start(%o) or die 'The server did not start: ' . $server->complaint . "\n";
	return $server;
}

sub finish_server ($server) {
	$server->stop if $server->is_running;
	my @problems = $server->problems;
	is("@problems", '', 'nothing crashed, nobody complains') or diag(map { "$_\n" } @problems);
	if (Test::More->builder->is_passing) {
		$server->remove;
	} else {
		diag('Logs: ' . $server->root . '/logs');
	}
	return;
}

# ---- blocks --------------------------------------------------------------------------------------

# Runs every block of the file's DATA in every mode, then ends the test.
sub run_tests {
	my @blocks = Test::Luaserv::Block->read_all(\*main::DATA);
	my $ran = 0;

	for my $one (test_modes()) {
		$mode = $one;
		my $server = new_server();
		for my $i (0 .. $#blocks) {
			my $block = $blocks[$i];
			next if !$block->runs_in($one);
			$ran++;
			my $last = $i == $#blocks || $blocks[ $i + 1 ]->has('app');
			subtest $block->name . " [$one]" => sub { $block->run($server, $last) };
		}
		$server->stop if $server->is_running;
		$server->remove if Test::More->builder->is_passing;
		@servers = ();
	}
	Test::More->builder->skip('no block runs in these modes') if !$ran;
	done_testing() if !Test::More->builder->has_plan;
	return;
}

1;
