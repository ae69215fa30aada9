package Test::Luaserv::Leak;

# LUASERV_TEST_LEAK=1: repeats a block's client and fails when memory, descriptors or coroutines grow with it.

use v5.36;
use Test::More;
use Test::Luaserv::Util qw(slurp descendants wait_for);

# Growth that a garbage collector and an allocator may show before they settle: kB, bytes.
my %slack = (resident => 1024, lua => 512 * 1024);

my $repeats = $ENV{LUASERV_TEST_LEAK_REPEATS} || 50;

sub sample ($server) {
	my %sum = (fds => 0, resident => 0, coroutines => 0, lua => 0);

	wait_for(sub { ($server->status || {})->{connections} == 0 }, 2);
	for my $pid ($server->pid, descendants($server->pid)) {
		$sum{fds} += () = glob "/proc/$pid/fd/*";
		$sum{resident} += $1 if slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
	}
	for my $worker (@{ ($server->status || {})->{workers} || [] }) {
		$sum{coroutines} += $worker->{coroutines};
		$sum{lua} += $worker->{lua_bytes};
	}
	return \%sum;
}

sub check ($server, $client) {
	my @samples;

	# The client's own comparisons would bury the verdict.
	subtest 'repeated' => sub {
		for my $round (0 .. 3) {
			$client->() for 1 .. $repeats;
			push @samples, sample($server) if $round; # round 0 warms up
		}
	};
	is($samples[2]{fds}, $samples[0]{fds}, 'no descriptor leaks');
	is($samples[2]{coroutines}, $samples[0]{coroutines}, 'no coroutine leaks');
	for my $what (sort keys %slack) {
		my ($one, $two, $three) = map { $_->{$what} } @samples;
		my $grows = $two > $one && $three > $two && $three - $one > $slack{$what};
		ok(!$grows, "$what memory does not grow") or diag("$one → $two → $three");
	}
	return;
}

1;
