# Sockets that a service manager hands over (LISTEN_FDS), and what it is told (NOTIFY_SOCKET).
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local raw = server:listen("$ROOT/raw.sock", 0, "unix")
raw:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
raw:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
local udp = server:listen("127.0.0.1", $PORT_2, "udp")
udp:on("packet", function(server, data, client) server:sendto(client.address, client.port, data) end)
server:on("request", function(req, res)
	res:finish(tostring(os.getenv "LISTEN_FDS") .. tostring(os.getenv "NOTIFY_SOCKET") .. "\n")
end)
server:start()
LUA

# Runs a command with listening sockets from 3 on, as systemd does: what is listed in $SOCKETS, "tcp:PORT", "udp:PORT" or "unix:PATH".
my $activate = <<'PERL';
use v5.36;
use POSIX ();
use IO::Socket::INET;
use IO::Socket::UNIX;
my @command = @ARGV;
# The descriptor that luaserv reports to must not stand where the sockets go.
for my $i (0 .. $#command - 1) {
	next if $command[$i] ne '--ready-fd';
	POSIX::dup2($command[ $i + 1 ], 40);
	$command[ $i + 1 ] = 40;
}
my @sockets = map {
	my ($kind, $where) = split /:/, $_, 2;
	my $sock = $kind eq 'tcp' ? IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $where, Listen => 50, ReuseAddr => 1)
		: $kind eq 'udp' ? IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $where, Proto => 'udp')
		: IO::Socket::UNIX->new(Local => $where, Listen => 50);
	$sock or die "$_: $!\n";
} split ' ', $ENV{SOCKETS};
my @high = map { my $fd = POSIX::dup(fileno $_); POSIX::dup2($fd, 50 + $fd); 50 + $fd } @sockets;
POSIX::dup2($high[$_], 3 + $_) for 0 .. $#high;
$ENV{LISTEN_FDS} = @high;
$ENV{LISTEN_PID} = $ENV{WRONG_PID} || $$;
exec { $command[0] } @command or die "exec: $!\n";
PERL

sub start_activated ($server, $sockets, %o) {
	spew($server->root . '/activate.pl', $activate);
	return $server->start(
		app => $o{app} // $app,
		under => [ $^X, $server->root . '/activate.pl' ],
		settings => { worker_num => 2 },
		env => { SOCKETS => $sockets, %{ $o{env} || {} } },
	);
}

matrix 'ports use the sockets that are handed over' => sub ($mode) {
	my $server = new_server();
	my $path = $server->root . '/raw.sock';

	ok(start_activated($server, join ' ', 'tcp:' . $server->port, "unix:$path", 'udp:' . $server->port(2)), 'it starts')
		or diag($server->complaint);
	is($server->get('/')->body, "nilnil\n", 'TCP; children know nothing of it') for 1 .. 4;
	is($server->client(path => $path)->send("hello\n")->recv_until("\n"), "hello\n", 'a unix socket');
	my $udp = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '127.0.0.1', PeerPort => $server->port(2)) or die "udp: $!\n";
	$udp->send('ping');
	alarm seconds(10);
	$udp->recv(my $answer, 100);
	alarm 0;
	is($answer, 'ping', 'UDP');
	is(($server->reload)[0], 0, 'a reload');
	is($server->get('/')->status, 200, 'keeps them');
	my ($pid) = $server->worker_pids;
	$server->expect_crash;
	kill KILL => $pid;
	ok($server->wait_respawn($pid), 'so does a new worker');
	is($server->get('/')->status, 200, 'which serves');
	is($server->stop, 0, 'it stops');
	ok(-S $path, 'and leaves the path to its owner');
};

matrix 'what is not handed over is bound as usual' => sub ($mode) {
	my $server = new_server();

	ok(start_activated($server, 'udp:' . $server->port(2)), 'it starts');
	is($server->get('/')->status, 200, 'it serves');
};

matrix 'a socket that no port is for is an error' => sub ($mode) {
	my $server = new_server();
	my $other = $server->port(3);

	ok(!start_activated($server, "tcp:$other"), 'it does not start');
	like($server->complaint, qr/a socket was handed over \(LISTEN_FDS\) that no port of the app listens on: 127\.0\.0\.1:$other; give the app/, 'it says which');
};

matrix 'sockets for another process are not touched' => sub ($mode) {
	my $server = new_server();

	ok(start_activated($server, 'tcp:' . $server->port(3), env => { WRONG_PID => 1 }), 'it starts');
	is($server->get('/')->status, 200, 'it serves');
};

matrix 'the service manager is told' => sub ($mode) {
	my $server = new_server();
	my $path = $server->root . '/notify.sock';
	my $manager = IO::Socket::UNIX->new(Local => $path, Type => SOCK_DGRAM) or die "notify: $!\n";
	my $hear = sub {
		alarm seconds(10);
		$manager->recv(my $text, 1000);
		alarm 0;
		return $text;
	};

	ok($server->start(app => $app, settings => { worker_num => 1 }, env => { NOTIFY_SOCKET => $path }), 'it starts');
	is($hear->(), 'READY=1', 'ready');
	is(($server->reload)[0], 0, 'a reload');
	like($hear->(), qr/\ARELOADING=1\nMONOTONIC_USEC=\d+\z/, 'is told when it begins');
	is($hear->(), 'READY=1', 'and when it is over');
	is(($server->reload(app => 'syntax error'))[0], 1, 'one that is refused');
	like($hear->(), qr/\ARELOADING=1/, 'begins');
	is($hear->(), 'READY=1', 'and is over, too');
	is($server->stop, 0, 'it stops');
	is($hear->(), 'STOPPING=1', 'which is told');
};

done_testing();
