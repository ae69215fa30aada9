# UDP ports: datagrams come to the packet handler and go out by sendto, from the socket they came to.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use IO::Socket::IP;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT, nil, "udp")
local second = server:listen("127.0.0.1", $PORT_2, "udp")
local lines = server:listen("127.0.0.1", $PORT_3, "tcp")
$NOTE
server:on("packet", function(server, data, client)
	if data == "who" then
		data = table.concat({ client.address, client.port, client.server_socket, client.server_port }, " ")
	elseif data == "error" then
		error("on purpose")
	elseif data == "wait" then
		luaserv.sleep(0.05)
	elseif data == "other" then
		server:sendto(client.address, client.port, "from the second port", 1)
		return
	elseif data == "bad" then
		local texts = {}
		for _, args in ipairs { { "nowhere", 1, "x" }, { "127.0.0.1", 9, ("x"):rep(65508) }, { "::1", 9, "x" }, { "127.0.0.1", 9, "x", 2 } } do
			local ok, message, code = server:sendto(unpack(args))
			texts[#texts + 1] = tostring(ok) .. " " .. message .. " " .. code
		end
		data = table.concat(texts, "; ")
	end
	server:sendto(client.address, client.port, data, client.server_socket)
end)
lines:set { protocol = "eof", open_eof_split = true, package_eof = "\n" }
lines:on("receive", function(server, fd, _, data) server:send(fd, data) end)
server:start()
LUA

sub udp ($port) {
	my $sock = IO::Socket::IP->new(Proto => 'udp', PeerHost => '127.0.0.1', PeerPort => $port, LocalHost => '127.0.0.1') or die "udp: $!\n";
	return $sock;
}

# The next datagram, and in list context the port it comes from; nothing if none comes in time.
sub next_of ($sock, $limit = 5) {
	my $bits = '';
	vec($bits, fileno $sock, 1) = 1;
	return if !select $bits, undef, undef, seconds($limit);
	my $from = recv $sock, my $data, 65536, 0;
	return wantarray ? ($data, (Socket::unpack_sockaddr_in($from))[0]) : $data;
}

sub ask ($sock, $data) {
	send $sock, $data, 0;
	return scalar next_of($sock);
}

matrix 'datagrams are echoed, beside a TCP port' => sub ($mode) {
	my $server = start_server(app => $app);
	my $sock = udp($server->port);

	is(ask($sock, 'hello'), 'hello', 'a small one');
	is(ask($sock, ''), '', 'an empty one');
	my $large = join '', map { chr($_ % 251) } 1 .. 60000;
	is_string(ask($sock, $large), $large, 'a large one');
	is(ask($sock, 'wait'), 'wait', 'a handler may wait');
	is(ask($sock, 'who'), join(' ', '127.0.0.1', $sock->sockport, 0, $server->port), 'who it is from, and where it came to');
	my $other = udp($server->port(2));
	is(ask($other, 'who'), join(' ', '127.0.0.1', $other->sockport, 1, $server->port(2)), 'a second port');
	my $tcp = $server->client(port => $server->port(3));
	is($tcp->send("line\n")->recv(5), "line\n", 'a TCP port of the same server');
	ok($server->wait_status(sub ($s) { $s->{packets} >= 6 && $s->{workers}[0]{in_flight} == 0 }), 'they are counted');
};

matrix 'datagrams of one client go to one worker, by its address and port, by its address, or by turns',
	process => 'dispatch_mode is of process mode', sub ($mode) {
	my $who = <<'LUA';
local server = require "luaserv".server("127.0.0.1", $PORT, nil, "udp")
server:on("packet", function(server, data, client) server:sendto(client.address, client.port, tostring(server.worker_id)) end)
server:start()
LUA
	my %wanted = (fixed => '1 of 3', uid => '1 of 3', ip => '1 of 1', round => '3 of 3');

	for my $dispatch (sort keys %wanted) {
		my $server = start_server(app => $who, settings => { worker_num => 3, dispatch_mode => $dispatch });
		my (%all, $most);

		for (1 .. 20) {
			my $sock = udp($server->port);
			my %own = map { ask($sock, 'x') => 1 } 1 .. 6;
			$all{$_} = 1 for keys %own;
			$most = keys %own if keys %own > ($most // 0);
		}
		is("$most of " . keys %all, $wanted{$dispatch}, "$dispatch: of the workers that any client sees, one client sees");
	}
};

matrix 'answers leave from the port that is named' => sub ($mode) {
	my $server = start_server(app => $app);
	my $sock = IO::Socket::IP->new(Proto => 'udp', LocalHost => '127.0.0.1') or die "udp: $!\n";
	my $to = Socket::pack_sockaddr_in($server->port, Socket::inet_aton('127.0.0.1'));

	send $sock, 'other', 0, $to;
	is_deeply([ next_of($sock) ], [ 'from the second port', $server->port(2) ], 'an answer from the second port');
};

matrix 'errors stay with the datagram' => sub ($mode) {
	my $server = start_server(app => $app);
	my $sock = udp($server->port);

	send $sock, 'error', 0;
	ok($server->wait_log(qr/the packet handler failed.*on purpose/), 'it is logged');
	is(ask($sock, 'next'), 'next', 'the next one is served');
	is(ask($sock, 'bad'), 'nil the arguments make no sense 505; nil the data is too large 1203; '
		. 'nil that cannot be done here 509; nil that cannot be done here 509', 'what cannot be sent');
};

matrix 'a flood is counted, and the server lives' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });
	my $sock = udp($server->port);

	send $sock, 'x' x 64, 0 for 1 .. 20_000;
	my $after = udp($server->port);
	ok(wait_for(sub { send $after, 'alive', 0; my $got = next_of($after, 0.2); return defined $got && $got eq 'alive' }), 'it answers');
	ok($server->wait_status(sub ($s) { $s->{packets} > 0 && !grep { $_->{in_flight} } @{ $s->{workers} } }), 'nothing is left over');
};

matrix 'a UDP port needs a packet handler' => sub ($mode) {
	my $server = new_server();
	ok(!$server->start(app => <<'LUA'), 'the start is refused');
local server = require "luaserv".server("127.0.0.1", $PORT, nil, "udp")
server:on("receive", function() end)
server:start()
LUA
	like($server->complaint, qr/speaks udp, but the script registers no "packet" handler/, 'with the reason');
};

done_testing();
