package Test::Luaserv::Queue;

# The System V queue of a server under test, as other programs see it. Every queue that a test names is removed at its end.

use v5.36;
use IPC::SysV qw(IPC_CREAT IPC_NOWAIT);
use IPC::Msg ();

my %named;
my $owner = $$;

# A key that no other test has: ports are claimed.
sub new ($class, $server) {
	my $key = 0x5e000000 | $server->port;
	my $self = $named{$key};

	if (!$self) {
		$self = $named{$key} = bless { key => $key }, $class;
		$self->remove; # of a run that was killed
	}
	return $self;
}

sub key ($self) { return $self->{key} }
sub hex ($self) { return sprintf '0x%08x', $self->{key} }

# The queue, or nothing while there is none.
sub queue ($self, $flags = 0) { return IPC::Msg->new($self->{key}, $flags) }
sub create ($self) { return $self->queue(IPC_CREAT | 0600) }
sub count ($self) { my $q = $self->queue or return; return $q->stat->qnum }
sub push ($self, $bytes, $type = 1) { return $self->queue->snd($type, $bytes, IPC_NOWAIT) }

sub remove ($self) {
	my $q = $self->queue or return;

	return $q->remove;
}

# Ids of all queues, or of those that one of these processes was the last to write to: other tests have theirs at the same time.
sub ids (@pids) {
	my %writer = map { $_ => 1 } @pids;

	open my $in, '<', '/proc/sysvipc/msg' or die "/proc/sysvipc/msg: $!\n";
	<$in>;
	return map { $_->[1] } grep { !@pids || $writer{ $_->[5] } } map { [split] } <$in>;
}

sub exists ($id) { return scalar grep { $_ == $id } ids() }

END {
	if ($$ == $owner) {
		local ($?, $!);
		$_->remove for values %named;
	}
}

1;
