use v5.36;
use lib 't/lib';
use Test::More;
use TAP::Parser;
use Test::Luaserv::Util qw(build_dir);

# Every unit test of the build (t/unit/test_*.c, and the fuzz drivers' inputs replayed) as a subtest. Each is a
# program that prints TAP.

my @programs = grep { -x && -f } glob build_dir() . '/unit/*';
if (!@programs) {
	plan(skip_all => 'There are no unit tests in ' . build_dir() . '/unit; build them first.');
}

for my $program (@programs) {
	my ($name) = $program =~ m{/(\w+)\z};
	subtest $name => sub {
		my $parser = TAP::Parser->new({ exec => [$program], merge => 1 });
		while (my $result = $parser->next) {
			if ($result->is_test) {
				ok($result->is_ok, $result->description =~ s/\A- //r);
			} elsif (!$result->is_plan) {
				note($result->as_string);
			}
		}
		is($parser->exit, 0, 'it ends with 0') or diag('wait status ', $parser->wait);
		is_deeply([ $parser->parse_errors ], [], 'its TAP is well-formed');
	};
}

done_testing();
