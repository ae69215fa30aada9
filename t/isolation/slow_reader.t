use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
$NOTE
local block = ("x"):rep(65536)
server:on("request", function(req, res)
	if req.path == "/small" then return res:finish("small\n") end
	if req.path == "/whole" then return res:finish(("x"):rep(8388608)) end
	for i = 1, 256 do -- 16 MiB: more than the kernel's buffers take
		local fine, message = res:write(block)
		if not fine then return note("write", type(message)) end
	end
end)
server:start()
LUA

matrix 'clients that read a byte at a time stall nobody and cost no more than their budget' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '64k' });
	$server->get('/small');
	my $before = $server->resident;
	my @slow = map { $server->client(rcvbuf => 4096) } 1 .. 50;

	$_->send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n") for @slow;
	for (1 .. 10) {
		for my $client (@slow) {
			sysread $client->sock, my $byte, 1;
		}
		is($server->get('/small')->status, 200, 'others are served');
	}
	cmp_ok($server->resident - $before, '<', 40_000, 'kB more for fifty of them')
		if build_name() eq 'release';
	$_->abort for @slow;
	ok($server->wait_idle, 'nothing is left of them');
};

matrix 'write_timeout cuts a client that takes nothing' => sub ($mode) {
	my $server = start_server(app => $app,
		settings => { socket_buffer_size => '64k', write_timeout => '300ms', linger_time => '100ms' });

	my $accepted = 0;
	for my $path ('/big', '/whole') {
		$accepted++;
		my $client = $server->client(rcvbuf => 4096);
		$client->send("GET $path HTTP/1.1\r\nHost: a\r\n\r\n");
		my $cut = $server->wait_status(sub { $_->{connections} == 0 && $_->{accepted} >= $accepted });
		ok($cut, "$path: cut");
		cmp_ok(length $client->recv_all, '<', 8_388_608, "$path: before the end");
	}
	is_deeply([ $server->wait_notes(1) ], ['write string'], 'the handler was told');
	is($server->get('/small')->status, 200, 'the server serves on');
};

matrix 'a client that reads slowly but steadily gets everything' => sub ($mode) {
	my $server = start_server(app => $app,
		settings => { socket_buffer_size => '64k', write_timeout => '2s' });
	my $client = $server->client(rcvbuf => 16_384, timeout => 30);
	my $got = 0;

	$client->send("GET /whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	for (1 .. 30) {
		select undef, undef, undef, 0.01;
		$got += length $client->recv_some;
	}
	$got += length $client->recv_all;
	cmp_ok($got, '>', 8_388_608, 'all of it');
};

done_testing();
