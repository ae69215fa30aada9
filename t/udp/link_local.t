# A link-local peer is an address and an interface: the answer goes back to where the question came from.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Socket qw(AF_INET6 SOCK_DGRAM inet_pton pack_sockaddr_in6);

# An address of this machine's own, so that nothing leaves it: "fe80::…" and the number of its interface.
sub own_address {
	open my $table, '<', '/proc/net/if_inet6' or return;
	while (<$table>) {
		my ($hex, $index) = split;
		return (join(':', $hex =~ /..../g), hex $index) if $hex =~ /^fe80/;
	}
	return;
}

my ($address, $interface) = own_address();

matrix 'the packet handler is told the interface, and sendto takes it' => sub ($mode) {
	if (!$address) {
		Test::More->builder->skip('this machine has no link-local IPv6 address');
		return;
	}
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("::", $PORT, nil, "udp6")
server:on("packet", function(server, data, client)
	server:sendto(client.address, client.port, client.address)
end)
server:start()
LUA
	socket my $sock, AF_INET6, SOCK_DGRAM, 0 or die "socket: $!\n";
	send $sock, 'who', 0, pack_sockaddr_in6($server->port, inet_pton(AF_INET6, $address), $interface) or die "send: $!\n";
	my $bits = '';
	vec($bits, fileno $sock, 1) = 1;
	ok(scalar select($bits, undef, undef, 10), 'an answer comes');
	recv $sock, my $told, 1000, 0;
	like($told, qr/^fe80::.*%$interface\z/, 'the address has its interface');
};

done_testing();
