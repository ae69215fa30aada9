# server:sendfile: files leave between what is sent before and after, whatever the client's pace.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
local function show(...)
	local parts = { ... }
	for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
	return table.concat(parts, " ")
end
server:on("receive", function(server, fd, reactor_id, data)
	local what, path, offset, length = data:match("^(%S+) ?(%S*) ?(%S*) ?(%S*)\n$")
	if what == "three" then
		server:send(fd, "before\n")
		server:sendfile(fd, path, tonumber(offset), tonumber(length))
		server:send(fd, "after\n")
	elseif what == "twice" then
		note(show(server:sendfile(fd, path)))
		note(show(server:sendfile(fd, path)))
		note(show(server:send(fd, "end\n")))
		server:close(fd)
	else
		server:send(fd, show(server:sendfile(fd, path, tonumber(offset), tonumber(length))) .. "\n")
	end
end)
server:start()
LUA

sub file ($server, $name, $text) {
	spew($server->root . "/$name", $text);
	return $server->root . "/$name";
}

matrix 'between two sends' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;
	my $path = file($server, 'small', "0123456789\n");

	$client->send("three $path\n");
	is($client->recv(24), "before\n0123456789\nafter\n", 'the whole file');
	$client->send("three $path 3 4\n");
	is($client->recv(17), "before\n3456after\n", 'a part of it');
	$client->send("one $path 10\n");
	is($client->recv(6), "\ntrue\n", 'its last byte');
};

matrix 'what cannot be sent' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = $server->client;
	my $path = file($server, 'small', "0123456789\n");

	for my $case (
		[ "one $path.none",  qr/^nil \S+small\.none: No such file or directory 700$/ ],
		[ 'one ' . $server->root, qr/^nil the file cannot be opened 700$/ ],
		[ "one $path 11",    qr/^nil the arguments make no sense 505$/ ],
		[ "one $path 5 7",   qr/^nil the arguments make no sense 505$/ ],
	) {
		$client->send("$case->[0]\n");
		like($client->recv_until("\n"), $case->[1], $case->[0] =~ s/\Q@{[ $server->root ]}\E/ROOT/r);
	}
};

matrix 'larger than the budget, to a slow client' => sub ($mode) {
	my $server = start_server(app => $app, settings => { socket_buffer_size => '64k' });
	my $text = join '', map { sprintf "%09d\n", $_ } 1 .. 500_000;
	my $path = file($server, 'large', $text);
	my $client = $server->client;

	$client->send("twice $path\n");
	is_deeply([ $server->wait_notes(1) ], ['true'], 'the first file is taken at once; the second waits for it');
	is_string($client->recv(length $text), $text, 'the first one whole');
	is_string($client->recv(length $text), $text, 'the second one whole');
	is($client->recv_all, "end\n", 'then what was sent behind them, and the end');
	is_deeply([ $server->wait_notes(3) ], [ 'true', 'true', 'true' ], 'all were told');
};

matrix 'a close waits for a send that is then given up' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { socket_buffer_size => '64k', send_timeout => '300ms' });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:on("receive", function(server, fd, reactor_id, path)
	server:sendfile(fd, path)
	luaserv.go(function() note(tostring(server:send(fd, "tail"))) end)
	note(tostring(server:close(fd)))
end)
server:start()
LUA
	my $text = 'x' x 20_000_000;
	my $path = file($server, 'large', $text);
	my $client = $server->client;

	$client->send($path);
	is_deeply([ $server->wait_notes(2) ], [ 'true', 'nil' ], 'the close is taken, the send is not');
	is(length $client->recv_all, length $text, 'the file arrives, and then the end');
	ok($server->wait_status(sub ($s) { $s->{connections} == 0 }), 'no connection is left');
};

done_testing();
