# Each folder of examples/ is served as it is.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use IO::Socket::IP;

my %proofs = (
	hello => sub ($server) {
		my $response = $server->get('/');

		is($response->status, 200, 'status');
		like($response->body, qr/luaserv/, 'it greets');
	},
	echo => sub ($server) {
		my $client = $server->client;

		is($client->recv_until("\n"), "Say something.\n", 'it asks');
		$client->send("hello\n");
		is($client->recv_until("\n"), "HELLO\n", 'it repeats');
		$client->send("quit\n");
		is($client->recv_all, '', 'and ends when it is told to');
	},
	chat => sub ($server) {
		my ($ann, $bob, $eve) = map { $server->client } 1 .. 3;

		like($_->recv_until("\n"), qr/^Hello, guest \d+\./, 'hello') for $ann, $bob, $eve;
		$ann->send("/name ann\r\n");
		like($ann->recv_until("is now ann\n"), qr/guest \d+ is now ann/, 'a name');
		$_->recv_until("is now ann\n") for $bob, $eve;
		$ann->send("hi\n");
		is($_->recv_until("\n"), "ann: hi\n", 'the others hear her') for $bob, $eve;
		$eve->send("/join kitchen\n");
		is($eve->recv_until("\n"), "You are in kitchen.\n", 'one goes to another room');
		like($_->recv_until("\n"), qr/^guest \d+ leaves$/, 'which the others hear') for $ann, $bob;
		$bob->send("still here\n");
		like($ann->recv_until("\n"), qr/: still here$/, 'who is there hears');
		$bob->send("/quit\n");
		is($bob->recv_all, "Bye.\n", 'and one leaves');
		like($ann->recv_until("\n"), qr/has gone$/, 'for good');
		ok($eve->quiet, 'the kitchen heard nothing of it');
	},
	watch => sub ($server) {
		my $client = $server->client;

		is($client->recv_until("\n"), 'watching ' . $server->root . "/watched\n", 'it says what it watches');
		spew($server->root . '/watched/new.txt', "x\n");
		is($client->recv_until("\n"), "new.txt\n", 'and tells what changes there');
		$client->send("\n");
		like($client->recv_all, qr/\A(?:new\.txt\n)*\z/, 'and ends when it is told to');
	},
	udp => sub ($server) {
		my $sock = IO::Socket::IP->new(Proto => 'udp', PeerHost => '127.0.0.1', PeerPort => $server->port) or die "udp: $!\n";

		send $sock, 'hello', 0;
		alarm seconds(10);
		recv $sock, my $answer, 1000, 0;
		alarm 0;
		like($answer, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ hello\z/, 'it tells the time');
	},
);

my @examples = map { m{/(\w+)/app\.lua\z} } glob repo_root() . '/examples/*/app.lua';
is_deeply([ sort keys %proofs ], [ sort @examples ], 'every example has its proof');

for my $example (sort keys %proofs) {
	matrix "examples/$example" => sub ($mode) {
		my $server = new_server();
		my $app = slurp(repo_root() . "/examples/$example/app.lua");

		mkdir $server->root . '/watched';
		ok($server->start(app => $app, env => { HOST => '127.0.0.1', PORT => $server->port, WATCH => $server->root . '/watched' }), 'it starts');
		$proofs{$example}->($server);
	};
}

done_testing();
