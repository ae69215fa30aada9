# buffer_full and buffer_empty, and what socket_buffer_policy does with a send that does not fit.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	local n, size = data:match("^(%d+) (%d+)")
	for i = 1, tonumber(n) do
		local fine, message, code = server:send(fd, ("x"):rep(tonumber(size) - 1) .. "\n")
		if not fine then
			note("refused", i, code)
			break
		end
	end
	note("sent")
end)
server:on("buffer_full", function(server, fd) note("full") end)
server:on("buffer_empty", function(server, fd) note("empty") end)
server:on("close", function(server, fd, reactor_id, info) note("close", info.by) end)
server:start()
LUA

matrix 'each is told once per crossing, also while the handler waits in send' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '200k' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send("300 20000\n");
	is_deeply([ $server->wait_notes(1) ], ['full'], 'full while send waits');
	is(length $client->recv(300 * 20_000), 6_000_000, 'all comes');
	my @notes = $server->wait_notes(3);
	is_deeply([ sort @notes ], [ 'empty', 'full', 'sent' ], 'then empty, once');
	$client->send("1 100\n");
	is(length $client->recv(100), 100, 'a small one');
	is((grep { /full|empty/ } $server->wait_notes(4)), 2, 'crosses nothing');
};

matrix 'a low watermark of its own: buffer_empty comes although some still waits' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '400k', buffer_high_watermark => '300k', buffer_low_watermark => '200k',
		kernel_socket_send_buffer_size => '16k' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send("13 30000\n");
	is_deeply([ sort $server->wait_notes(2) ], [ 'full', 'sent' ], 'full, and the send has ended');
	$client->recv(200_000);
	is(($server->wait_notes(3))[2], 'empty', 'while the client reads no more');
	is(length $client->recv(190_000), 190_000, 'the rest comes, too');
};

matrix 'buffer_empty by itself means that nothing waits' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '400k', buffer_high_watermark => '300k',
		kernel_socket_send_buffer_size => '16k' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send("13 30000\n");
	$server->wait_notes(2);
	$client->recv(290_000);
	$client->send("1 100\n");
	is(($server->wait_notes(3))[2], 'sent', 'not yet, when a tenth is left');
	is(length $client->recv(100_100), 100_100, 'the rest');
	is(($server->wait_notes(4))[3], 'empty', 'then it is told');
};

matrix 'buffer_empty without a buffer_full handler' => sub ($mode) {
	my $server = start_server(app => $app =~ s/^server:on\("buffer_full".*\n//mr, settings => { socket_buffer_size => '200k' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send("300 20000\n");
	is(length $client->recv(300 * 20_000), 6_000_000, 'all comes');
	is_deeply([ sort $server->wait_notes(2) ], [ 'empty', 'sent' ], 'then empty, once');
};

matrix 'policy drop: a send that does not fit is refused' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '200k', socket_buffer_policy => 'drop' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send("1000 20000\n");
	my @notes = $server->wait_notes(3);
	ok((grep { /^refused \d+ 1009$/ } @notes), 'with its code');
	my $sent = (map { /^refused (\d+)/ ? $1 - 1 : () } @notes)[0];
	is(length $client->recv($sent * 20_000), $sent * 20_000, 'what was taken comes whole');
	ok($client->open, 'the connection stays');
};

matrix 'policy close: a send that does not fit resets the connection' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '200k', socket_buffer_policy => 'close' });
	my $client = $server->client(rcvbuf => 8192, timeout => 20);

	$client->send("1000 20000\n");
	ok(wait_for(sub { grep { /^close server$/ } $server->notes }), 'the app is told');
	$client->recv_all;
	ok($client->was_reset, 'the client sees a reset');
};

done_testing();
