# Socket options reach the kernel: those of the listening socket and those of what it accepts.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Socket qw(:all);
use POSIX ();

my ($SYS_pidfd_open, $SYS_pidfd_getfd) = (434, 438);
my %tcp = (nodelay => 1, keepidle => 4, keepinterval => 5, keepcount => 6, defer_accept => 9, user_timeout => 18, fastopen => 23);

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", backlog = 77, open_tcp_keepalive = true,
	tcp_keepidle = 61, tcp_keepinterval = 7, tcp_keepcount = 3, tcp_user_timeout = "9s", tcp_fastopen = 16,
	kernel_socket_recv_buffer_size = "64k", kernel_socket_send_buffer_size = "32k", enable_reuse_port = true }
local other = server:listen("127.0.0.1", $PORT_2)
other:set { open_tcp_nodelay = false, open_tcp_keepalive = false, tcp_defer_accept = 5, tcp_user_timeout = 0 }
server:on("receive", function(server, fd, reactor_id, line) server:send(fd, line) end)
server:start()
LUA

# Copies of all sockets of a process.
sub sockets_of ($pid) {
	my $pidfd = syscall $SYS_pidfd_open, $pid, 0;
	my @sockets;

	die "pidfd_open: $!\n" if $pidfd < 0;
	for my $path (glob "/proc/$pid/fd/*") {
		next if (readlink($path) // '') !~ /^socket:/;
		my $fd = syscall $SYS_pidfd_getfd, $pidfd, int $path =~ s{.*/}{}r, 0;
		next if $fd < 0;
		open my $socket, '+<&=', $fd or die "fdopen: $!\n";
		push @sockets, $socket;
	}
	POSIX::close($pidfd);
	return @sockets;
}

sub option ($socket, $level, $name) { return unpack 'i', getsockopt($socket, $level, $name) // die "getsockopt: $!\n" }
sub is_inet ($socket) { my $name = getsockname $socket; return $name && sockaddr_family($name) == AF_INET }

sub listening ($port, @sockets) {
	return grep { is_inet($_) && option($_, SOL_SOCKET, SO_ACCEPTCONN) && (sockaddr_in(getsockname $_))[0] == $port } @sockets;
}

sub accepted ($client, @sockets) {
	my $port = $client->local_port;

	return (grep { is_inet($_) && (my $peer = getpeername $_) && (sockaddr_in(getpeername $_))[0] == $port } @sockets)[0];
}

matrix 'of the listening socket and of connections' => sub ($mode) {
	my $server = start_server(app => $app);
	my ($first, $second) = ($server->client, Test::Luaserv::Client->connect(port => $server->port(2)));

	is($_->send("x\n")->recv_until("\n"), "x\n", 'served') for $first, $second;

	my @sockets = sockets_of($mode eq 'base' ? $server->worker_pids : $server->pid);
	my ($listener) = listening($server->port, @sockets);
	my ($deferring) = listening($server->port(2), @sockets);
	my ($plain, $other) = (accepted($first, @sockets), accepted($second, @sockets));

	is(option($listener, SOL_SOCKET, SO_REUSEPORT), 1, 'enable_reuse_port');
	is(option($listener, IPPROTO_TCP, $tcp{fastopen}), 16, 'tcp_fastopen');
	is(option($listener, IPPROTO_TCP, $tcp{defer_accept}), 0, 'no tcp_defer_accept');
	cmp_ok(option($deferring, IPPROTO_TCP, $tcp{defer_accept}), '>=', 5, 'tcp_defer_accept');
	is(option($plain, IPPROTO_TCP, $tcp{nodelay}), 1, 'open_tcp_nodelay by itself');
	is(option($plain, SOL_SOCKET, SO_KEEPALIVE), 1, 'open_tcp_keepalive');
	is(option($plain, IPPROTO_TCP, $tcp{keepidle}), 61, 'tcp_keepidle');
	is(option($plain, IPPROTO_TCP, $tcp{keepinterval}), 7, 'tcp_keepinterval');
	is(option($plain, IPPROTO_TCP, $tcp{keepcount}), 3, 'tcp_keepcount');
	is(option($plain, IPPROTO_TCP, $tcp{user_timeout}), 9000, 'tcp_user_timeout');
	is(option($plain, SOL_SOCKET, SO_RCVBUF), 2 * 65536, 'kernel_socket_recv_buffer_size, which the kernel doubles');
	is(option($plain, SOL_SOCKET, SO_SNDBUF), 2 * 32768, 'kernel_socket_send_buffer_size');
	is(option($other, IPPROTO_TCP, $tcp{nodelay}), 0, 'open_tcp_nodelay off for one port');
	is(option($other, SOL_SOCKET, SO_KEEPALIVE), 0, 'open_tcp_keepalive off');
	is(option($other, IPPROTO_TCP, $tcp{user_timeout}), 0, 'no tcp_user_timeout');
};

# What the kernel holds of a listening socket's backlog is told by /proc/net only through sock_diag; a full one refuses to take more.
matrix 'backlog' => sub ($mode) {
	my $server = start_server(app => $app =~ s/backlog = 77/backlog = 2/r =~ s/enable_reuse_port = true/enable_reuse_port = false/r);
	my @pids = ($server->pid, $server->worker_pids);
	my @clients;

	freeze(@pids);
	my $full = eval {
		for (1 .. 6) {
			push @clients, Test::Luaserv::Client->connect(port => $server->port, timeout => 0.5);
			die "full\n" if !$clients[-1]->wait_ready(1, Test::Luaserv::Util::now() + 0.5) || !getpeername $clients[-1]->sock;
		}
		1;
	};
	kill CONT => reverse @pids;
	ok(!$full, 'more than the backlog are not connected');
	is($clients[0]->send("x\n")->recv_until("\n"), "x\n", 'the others are served afterwards');
};
done_testing();
