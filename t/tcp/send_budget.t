use lib 't/lib';
use Test::Luaserv;

# A client that does not read: 64 KiB may wait for it, not more.
my %small = (socket_buffer_size => '64k');

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, data)
	local block, sent = ("x"):rep(10000), 0
	for i = 1, tonumber(data) do
		local fine, message, code = server:send(fd, block)
		if not fine then
			note("failed", tostring(fine), type(message), tostring(code))
			return server:close(fd)
		end
		sent = sent + 1
	end
	note("sent", sent)
	server:close(fd)
end)
server:start()
LUA

matrix 'send waits for a slow reader, and every byte comes' => sub ($mode) {
	my $server = start_server(app => $app, settings => {%small});
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send('1000');
	ok($server->wait_status(sub { $_->{workers}[0]{coroutines} >= 1 }), 'the handler runs');
	select undef, undef, undef, 0.2; # the sender must not get through while nobody reads
	is_deeply([ $server->notes ], [], 'it waits');
	is(length $client->recv_all, 10_000_000, 'all of it');
	is_deeply([ $server->wait_notes(1) ], ['sent 1000'], 'and the handler has ended');
};

matrix 'with send_yield off it fails instead, with Swoole\'s number' => sub ($mode) {
	my $server = start_server(app => $app, settings => { %small, send_yield => 'false' });
	my $client = $server->client(rcvbuf => 8192);

	$client->send('2000');
	is_deeply([ $server->wait_notes(1) ], ['failed nil string 1009'], 'output buffer overflow');
};

matrix 'sendwait waits all the same' => sub ($mode) {
	my $server = start_server(app => $app =~ s/server:send\(/server:sendwait(/r, settings => { %small, send_yield => 'false' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send('1000');
	is(length $client->recv_all, 10_000_000, 'all of it');
	is_deeply([ $server->wait_notes(1) ], ['sent 1000'], 'and nothing failed');
};

matrix 'send_timeout ends the wait' => sub ($mode) {
	my $server = start_server(app => $app, settings => { %small, send_timeout => '100ms' });
	my $client = $server->client(rcvbuf => 8192);

	$client->send('2000');
	is_deeply([ $server->wait_notes(1) ], ['failed nil string 110'], 'with ETIMEDOUT');
};

matrix 'a waiting send ends when the client goes' => sub ($mode) {
	my $server = start_server(app => $app, settings => {%small});
	my $client = $server->client(rcvbuf => 8192);

	$client->send('2000');
	$client->recv(10_000);
	$client->abort;
	is_deeply([ $server->wait_notes(1) ], ['failed nil string 1002'], 'closed by the peer');
	ok($server->wait_idle, 'nothing is left');
};

my $several = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, data)
	for i = 1, 9 do
		luaserv.go(function()
			server:send(fd, tostring(i):rep(100000))
			note(i)
		end)
	end
end)
server:start()
LUA

matrix 'those who wait go on in the order they came' => sub ($mode) {
	my $server = start_server(app => $several, settings => {%small});
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send('x');
	is($client->recv(900_000) =~ tr{1-9}{}sr, q{123456789}, 'each whole, one after the other');
	is(join(' ', $server->wait_notes(9)), '1 2 3 4 5 6 7 8 9', 'and so do their coroutines');
};

matrix 'others are served meanwhile' => sub ($mode) {
	my $server = start_server(app => $app, settings => {%small});
	my $slow = $server->client(rcvbuf => 8192);

	$slow->send('1000');
	for (1 .. 3) {
		is(length $server->client(timeout => 10)->send('10')->recv_all, 100_000, 'another connection');
	}
};

# The link is what is small here, and no acknowledgement comes that would wake the worker again.
matrix 'a send that waits for room in the link goes on when there is some' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '4m', ring_size => '64k' });
	my $client = $server->client(timeout => 10);

	$client->send('50');
	is(length $client->recv_all, 500_000, 'all of it');
	is_deeply([ $server->wait_notes(1) ], ['sent 50'], 'and the handler has ended');
};

done_testing();
