# What the checks of tools/lint share: the files, C text without comments and strings, complaints.
package Lint;
use strict;
use warnings;
use File::Find ();
use FindBin;

chdir "$FindBin::Bin/../.." or die "cannot enter the top folder: $!\n";

my $complaints = 0;

sub lines {
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	return <$in>;
}

# Files below the given folders whose names match, sorted.
sub files {
	my ($pattern, @folders) = @_;
	my @found;
	File::Find::find({ no_chdir => 1, wanted => sub { push @found, $_ if -f && /$pattern/ } }, grep { -d } @folders);
	return sort @found;
}

# C sources, headers and tables.
sub sources {
	return files(qr/\.(?:c|h|def)$/, @_);
}

# The text of a C file with comments, strings and character constants blanked out; line numbers stay.
sub code {
	my ($file) = @_;
	my $text = join '', lines($file);
	$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}{
		my $gone = $1;
		$gone =~ s/[^\n]/ /g;
		$gone;
	}egs;
	return split /\n/, $text, -1;
}

sub complain {
	my ($file, $line, $text) = @_;
	print STDERR "$file:$line: $text\n";
	$complaints++;
	return;
}

sub finish {
	exit($complaints ? 1 : 0);
}

1;
