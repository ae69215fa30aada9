use lib 't/lib';
use Test::Luaserv;

matrix 'what is received can be sent back' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA
	my $client = $server->client(timeout => 10);

	for my $text ('hello', "\0\xff\r\n", 'x' x 65_536) {
		$client->send($text);
		is_string($client->recv(length $text), $text, length($text) . ' bytes');
	}
	my @clients = map { $server->client } 1 .. 20;
	$clients[$_]->send("client $_") for 0 .. 19;
	is($clients[$_]->recv(length "client $_"), "client $_", 'each gets its own') for 0 .. 19;
	$client->shutdown;
	ok($client->eof, 'the end of one side ends the connection');
};

matrix 'a megabyte in many reads keeps its order, and no read is longer than 64 KiB' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	assert(#data <= 65536)
	server:send(fd, data)
end)
server:start()
LUA
	my $client = $server->client(timeout => 20);
	my $text = join ',', 1 .. 180_000;
	my $got = '';

	for (my $at = 0; $at < length $text; $at += 200_000) {
		$client->send(substr $text, $at, 200_000);
		$got .= $client->recv(length(substr $text, $at, 200_000));
	}
	ok($got eq $text, 'the same ' . length($text) . ' bytes');
};

matrix 'connect, receive and close come in that order, and know the connection' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
server:on("connect", function(server, fd, reactor_id)
	note("connect", type(fd), type(reactor_id))
	server:send(fd, "welcome\n")
end)
server:on("receive", function(server, fd, reactor_id, data)
	note("receive", data, tostring(server:exists(fd)))
end)
server:on("close", function(server, fd, reactor_id, info)
	note("close", info.by, tostring(info.bytes_in), tostring(info.bytes_out))
end)
server:start()
LUA
	my $client = $server->client;

	is($client->recv(8), "welcome\n", 'the server speaks first');
	$client->send('hello');
	$server->wait_notes(2);
	$client->close;
	my @events = ('connect number number', 'receive hello true', 'close peer 5 8');
	is_deeply([ $server->wait_notes(3) ], \@events, 'the events');
};

matrix 'close flushes what was sent before it' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	server:send(fd, ("x"):rep(tonumber(data)))
	server:close(fd)
end)
server:start()
LUA
	for my $size (1, 1000, 1_000_000) {
		my $client = $server->client(timeout => 10);
		$client->send($size);
		is(length $client->recv_all, $size, "$size bytes, then the end");
		ok(!$client->was_reset, 'in order');
	}
	my $client = $server->client;
	$client->send('5 and more');
	$client->close;
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
};

matrix 'close with reset drops what waits' => sub ($mode) {
	my $server = start_server(settings => { socket_buffer_size => '8m' }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, data)
	server:send(fd, ("x"):rep(6000000))
	note(tostring(server:close(fd, true)), tostring(server:exists(fd)))
end)
server:on("close", function(server, fd) note("closed") end)
server:start()
LUA
	my $client = $server->client(rcvbuf => 8192, timeout => 10);

	$client->send('x');
	is_deeply([ $server->wait_notes(2) ], [ 'true false', 'closed' ], 'closed at once, although the client reads nothing');
	cmp_ok(length $client->recv_all, '<', 6_000_000, 'most of it never comes');
	ok($client->was_reset, 'but a reset');
};

matrix 'sending to a connection that has gone is an error value' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, data) server:close(fd) end)
server:on("close", function(server, fd)
	local fine, message, code = server:send(fd, "late")
	note(tostring(fine), type(message), type(code), tostring(server:exists(fd)))
end)
server:start()
LUA
	my $client = $server->client;

	$client->send('x');
	ok($client->eof, 'closed');
	is_deeply([ $server->wait_notes(1) ], ['nil string number false'], 'nil, message, code');
};

matrix 'an error in receive is logged and closes the connection' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	if data == "bad" then error("what a message") end
	server:send(fd, data)
end)
server:start()
LUA
	my ($good, $bad) = map { $server->client } 1 .. 2;

	$bad->send('bad');
	is($bad->recv_all, '', 'closed');
	ok($server->wait_log(qr/ error .*what a message/), 'logged');
	is($good->send('fine')->recv(4), 'fine', 'others are served on');
};

matrix 'one connection\'s messages are handled one after the other' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { protocol => 'eof', package_eof => '\n' });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	if data == "1\n" then luaserv.sleep(0.05) end
	server:send(fd, data)
end)
server:start()
LUA
	is($server->client->send("1\n2\n3\n")->recv(6), "1\n2\n3\n", 'although the first one slept');
};

done_testing();
