package Test::Luaserv::Spec;

# The blocks of a test file, cut and filtered by Test::Base.

use v5.36;
require Test::Base; # not imported: its exports and its END block are for other habits
our @ISA = 'Test::Base';

# Test::Base notes every die, caught or not; Test::More's own report is enough.
delete $SIG{__DIE__};

sub parse ($class, $text) {
	my $self = $class->new;

	$self->_spec_string($text);
	$self->_no_diag_on_only(1);
	die "ONLY is for debugging.\n" if $ENV{CI} && $text =~ /^--- ONLY\b/m;
	my @blocks = @{ $self->block_list };
	$_->run_filters for @blocks;
	return @blocks;
}

package Test::Luaserv::Spec::Filter;

# As Test::Base's, but a Perl error ends the test instead of becoming the section's value.

our @ISA = 'Test::Base::Filter';

require Test::Base::Filter;

sub eval ($self, $text) {
	my @values = CORE::eval "package main; no strict; $text";
	die "A section of the test is not valid Perl: $@" if $@;
	return @values;
}

1;
