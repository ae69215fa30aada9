# max_queued_bytes: what a worker has not handled of one connection is bounded; then the connection is not read.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", max_queued_bytes = "64k", package_max_length = "16k",
	kernel_socket_recv_buffer_size = "16k" }
local go, count = luaserv.channel(1), 0
server:on("receive", function(server, fd, reactor_id, line)
	if line == "go\n" then
		go:push(true)
		return
	end
	count = count + 1
	if count == 1 then
		note("begun")
		go:pop()
	end
	if line:find "^last" then server:send(fd, count .. "\n") end
end)
server:start()
LUA

matrix 'a client that is faster than its handlers is held back' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client(timeout => 20);
	my $sock = $client->sock;
	my ($sent, $line) = (0, ('x' x 9_999) . "\n");

	setsockopt $sock, Socket::SOL_SOCKET(), Socket::SO_SNDBUF(), 16384 or die;
	$client->send($line);
	$server->wait_notes(1);
	# As much as the socket takes, until it takes nothing for a while.
	for my $tries (1 .. 50) {
		while ($sent < 20_000_000 && defined(my $n = syswrite $sock, substr($line x 2, $sent % 10_000, 10_000))) {
			$sent += $n;
			$tries = 0;
		}
		last if $sent > 20_000_000;
		$client->wait_ready(1, Test::Luaserv::Util::now() + 0.02);
	}
	cmp_ok($sent, '<', 2_000_000, "it could send $sent bytes and no more");
	is($server->client->send("go\n") ? 1 : 0, 1, 'the handler goes on');
	$client->send(substr($line, $sent % 10_000)) if $sent % 10_000;
	$client->send("last\n");
	is($client->recv_until("\n"), (1 + int(($sent + 9_999) / 10_000) + 1) . "\n", 'then all of it is handled');
};
done_testing();
