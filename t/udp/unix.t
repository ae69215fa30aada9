# Unix datagram ports: packets by path and by abstract name, answers, and what cannot be answered.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use IO::Socket::UNIX;
use Socket;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("$ROOT/app.sock", 0, nil, "unix_dgram")
$NOTE
server:on("packet", function(server, data, client)
	if data == "who" then
		note(client.address == "" and "nobody" or client.address, client.port, client.server_socket)
		return
	end
	if data == "large" then data = ("x"):rep(60000) end
	if data == "toolarge" then data = select(2, server:sendto(client.address, 0, ("x"):rep(65508))) end
	if data == "gone" then server:sendto("$ROOT/gone.sock", 0, "x") data = "sent" end
	if data == "flood" then
		for i = 1, 2000 do server:sendto("$ROOT/full.sock", 0, "x") end
		data = "done"
	end
	note("to", tostring(server:sendto(client.address, 0, data)))
end)
server:start()
LUA

sub client_at ($path) {
	my $sock = IO::Socket::UNIX->new(Local => $path, Type => SOCK_DGRAM) or die "$path: $!\n";
	return $sock;
}

sub say_to ($server, $sock, $data) {
	defined send $sock, $data, 0, pack_sockaddr_un($server->root . '/app.sock') or die "send: $!\n";
	return;
}

sub hear ($sock) {
	alarm seconds(10);
	recv $sock, my $data, 70_000, 0;
	alarm 0;
	return $data;
}

matrix 'packets come and are answered by path' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });
	my $path = $server->root . '/client.sock';
	my $client = client_at($path);

	say_to($server, $client, 'hello');
	is(hear($client), 'hello', 'an answer');
	say_to($server, $client, 'who');
	is_deeply([ sort $server->wait_notes(2) ], [ sort "$path 0 0", 'to true' ], 'the path is told');
	say_to($server, $client, 'large');
	is(length hear($client), 60_000, 'a large one');
	say_to($server, $client, 'toolarge');
	is(hear($client), 'the data is too large', 'one that is too large is an error');
	is($server->stop, 0, 'it stops');
	ok(!-e $server->root . '/app.sock', 'and takes its path away');
};

matrix 'abstract names and nobody' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $name = "luaserv-test-$$-" . $server->pid;
	my $client = client_at("\0$name");
	my $nobody = IO::Socket::UNIX->new(Type => SOCK_DGRAM) or die "socket: $!\n";

	say_to($server, $client, 'hello');
	is(hear($client), 'hello', 'an abstract name is answered');
	say_to($server, $client, 'who');
	say_to($server, $nobody, 'who');
	is_deeply([ ($server->wait_notes(3))[ 1, 2 ] ], [ "\@$name 0 0", 'nobody 0 0' ], 'names are told');
	say_to($server, $nobody, 'hello');
	is(($server->wait_notes(4))[3], 'to nil', 'who has no name cannot be answered');
};

matrix 'what cannot be delivered is counted, and holds up nobody' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my $client = client_at($server->root . '/client.sock');
	my $full = client_at($server->root . '/full.sock');

	say_to($server, $client, 'gone');
	is(hear($client), 'sent', 'to one that is gone');
	ok(wait_for(sub { $server->status->{packets_dropped} == 1 }), 'counted');
	say_to($server, $client, 'flood');
	is(hear($client), 'done', 'to one that does not read');
	ok(wait_for(sub { $server->status->{packets_dropped} > 100 }), 'counted');
	is($server->status->{packets}, 2, 'and those that came');
};

matrix 'a path that somebody uses is refused, one that a dead server left is taken' => sub ($mode) {
	my $server = new_server();
	my $path = $server->root . '/app.sock';
	my $other = client_at($path);

	ok(!$server->start(app => $app), 'it does not start');
	like($server->complaint, qr/another program listens there already/, 'it says why');
	close $other;
	ok($server->start(app => $app), 'now it starts');
	my $client = client_at($server->root . '/client.sock');
	say_to($server, $client, 'hello');
	is(hear($client), 'hello', 'and serves');
};

done_testing();
