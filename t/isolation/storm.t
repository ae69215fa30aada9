# Clients that do everything a client should not, against an app that closes, sends and leaves in every event: nothing crashes, nothing
# is left, and close comes exactly once for each connect. LUASERV_TEST_STORM=60 lasts a minute (tools/dev storm).
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF SHUT_WR);
use Time::HiRes qw(sleep time);

my $seconds = $ENV{LUASERV_TEST_STORM} || 2;
my $clients = 3;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", package_max_length = 65536, socket_buffer_size = 65536,
	worker_num = 2, heartbeat_idle_time = "1s", linger_time = "100ms", max_wait_time = "5s" }
local open, connects, closes, wrong = {}, 0, 0, 0
local big = ("b"):rep(100000) .. "\n"
server:on("worker_start", function(server, id) math.randomseed(os.time() + id) end)

local function act(fd)
	local n = math.random(12)
	if n == 1 then server:close(fd)
	elseif n == 2 then server:close(fd, true)
	elseif n == 3 then server:send(fd, big)
	elseif n == 4 then server:send(fd, big) server:close(fd)
	elseif n == 5 then server:join(fd, "room")
	elseif n == 6 then server:publish("room", "to all\n", nil, fd)
	elseif n == 7 then server:sendfile(fd, "$ROOT/data.txt")
	elseif n == 8 then server:pause(fd) luaserv.sleep(0.002) server:resume(fd)
	elseif n == 9 then luaserv.go(function() luaserv.sleep(0.003) server:send(fd, "late\n") end)
	elseif n == 10 then server:leave(fd, "room") server:bind(fd, fd % 3)
	elseif n == 11 then for one in server:connections() do if one ~= fd and math.random(50) == 1 then server:close(one) end end
	else server:send(fd, "echo\n") end
end

server:on("connect", function(server, fd)
	connects = connects + 1
	if open[fd] then wrong = wrong + 1 end
	open[fd] = true
	act(fd)
end)
server:on("receive", function(server, fd, reactor_id, data)
	if not open[fd] then wrong = wrong + 1 end
	act(fd)
end)
server:on("close", function(server, fd)
	closes = closes + 1
	if not open[fd] then wrong = wrong + 1 end
	open[fd] = nil
	server:send(fd, "too late\n")
	server:close(fd)
	server:publish("room", "one has gone\n")
end)
server:on("worker_stop", function() note("count", connects, closes, wrong) end)
server:start()
LUA

sub dial ($port) {
	my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 2) or return;
	$sock->blocking(0);
	return $sock;
}

sub abort_socket ($sock) {
	setsockopt $sock, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	close $sock;
	return;
}

my @actions = (
	sub ($sock, $held) { abort_socket($sock) },
	sub ($sock, $held) { close $sock },
	sub ($sock, $held) { syswrite $sock, "hello\n"; abort_socket($sock) },
	sub ($sock, $held) { syswrite $sock, "hello\n"; push @$held, $sock },
	sub ($sock, $held) { push @$held, $sock },
	sub ($sock, $held) { syswrite $sock, "half of a mess"; push @$held, $sock },
	sub ($sock, $held) { syswrite $sock, "one\ntwo\nthree\n" x 20; shutdown $sock, SHUT_WR; push @$held, $sock },
	sub ($sock, $held) { syswrite $sock, 'x' x 70_000; push @$held, $sock },
	sub ($sock, $held) { setsockopt $sock, SOL_SOCKET, SO_RCVBUF, pack 'i', 2048; syswrite $sock, "big\n" x 30; push @$held, $sock },
	sub ($sock, $held) { syswrite $sock, "\0\xff\n\n\n\r\n"; sysread $sock, my $got, 1000; close $sock },
);

# One process that storms until its time is up.
sub storm ($port, $seed, $end) {
	my @held;

	srand $seed;
	local $SIG{PIPE} = 'IGNORE';
	while (time < $end) {
		my $sock = dial($port) or next;
		$actions[ rand @actions ]->($sock, \@held);
		next if @held < 40;
		my $old = splice @held, rand @held, 1;
		sysread $old, my $got, 100_000 if rand() < 0.5;
		rand() < 0.5 ? abort_socket($old) : close $old;
	}
	return;
}

matrix "a storm of $seconds s" => sub ($mode) {
	my $server = start_server(app => $app, files => { 'data.txt' => "from a file\n" x 2000 });
	my $end = time + $seconds;
	my @pids = map {
		my $seed = $_;
		my $pid = fork // die "fork: $!\n";
		if (!$pid) { storm($server->port, $seed, $end); POSIX::_exit(0) }
		$pid;
	} 1 .. $clients;

	waitpid $_, 0 for @pids;
	my @workers = $server->worker_pids;
	ok($server->wait_status(sub ($s) { $s->{connections} == 0 }, 20), 'no connection is left');
	my $status = $server->status;
	cmp_ok($status->{accepted}, '>', 50 * $seconds, "it stormed: $status->{accepted} connections");
	is_deeply([ $server->worker_pids ], \@workers, 'no worker has died');
	is($server->stop, 0, 'it stops');
	my ($connects, $closes, $wrong) = (0, 0, 0);
	for (map { /^count (\d+) (\d+) (\d+)/ ? [ $1, $2, $3 ] : () } $server->notes) {
		$connects += $_->[0];
		$closes += $_->[1];
		$wrong += $_->[2];
	}
	is($closes, $connects, 'close comes for each connect');
	is($connects, $status->{accepted}, 'and connect for each connection');
	is($wrong, 0, 'once, and nothing behind it');
};

done_testing();
