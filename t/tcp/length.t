use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, #data .. ":" .. data .. ";") end)
server:start()
LUA

sub start ($type, %settings) {
	return start_server(app => $app,
		settings => { open_length_check => 'true', package_length_type => $type, %settings });
}

matrix 'every letter of package_length_type' => sub ($mode) {
	for my $type (qw(c C s S n v l L N V q Q J P)) {
		my $pack = $type eq 'J' ? 'Q>' : $type eq 'P' ? 'Q<' : $type;
		my $client = start($type)->client;
		my @messages = map { pack($pack, length $_) . $_ } 'a', 'hello', '', 'x' x 100;

		$client->send(join '', @messages);
		my $wanted = join '', map { length($_) . ":$_;" } @messages;
		is_string($client->recv(length $wanted), $wanted, "letter $type");
	}
};

matrix 'a message cut at every byte' => sub ($mode) {
	my $client = start('n')->client;

	$client->send($_) for split //, pack('n/a* n/a*', 'hello', 'you');
	is_string($client->recv(18), "7:\0\5hello;5:\0\3you;", 'is whole again');
};

matrix 'offsets: the field behind a magic, its value counting everything' => sub ($mode) {
	my $client = start('N', package_length_offset => 2, package_body_offset => 0)->client;
	my $message = 'MG' . pack('N', 2 + 4 + 3) . 'abc';

	$client->send($message x 2);
	is_string($client->recv(24), "9:$message;" x 2, 'two messages');
};

matrix 'offsets: a longer header that the value does not count' => sub ($mode) {
	my $client = start('n', package_length_offset => 1, package_body_offset => 8)->client;
	my $message = 'T' . pack('n', 3) . 'heads' . 'abc';

	$client->send($message);
	is_string($client->recv(15), "11:$message;", 'one message');
};

matrix 'lengths that cannot be close the connection' => sub ($mode) {
	my %cases = (
		'over package_max_length' => [ start('N', package_max_length => 1000), pack('N', 1001) ],
		'as large as can be' => [ start('Q'), "\xff" x 8 ],
		'negative' => [ start('s'), pack('s', -1) . 'x' ],
		'negative, 64 bits' => [ start('q'), pack('q', -5) . 'x' ],
		'shorter than its own header' => [ start('N', package_body_offset => 0), pack('N', 3) . 'x' ],
		'zero' => [ start('N', package_body_offset => 0), pack('N', 0) . 'x' ],
	);

	for my $what (sort keys %cases) {
		my ($server, $bytes) = @{ $cases{$what} };
		my $client = $server->client;
		$client->send($bytes);
		is_string($client->recv_all, '', $what);
	}
};

matrix 'a header alone reserves no memory' => sub ($mode) {
	my $server = start('N', package_max_length => '500m', link_backlog_size => '1g');
	my $before = $server->resident;
	my @clients = map { $server->client->send(pack('N', 400_000_000) . 'x') } 1 .. 10;

	ok($server->wait_status(sub { $_->{connections} == 10 }), 'ten announce 400 MB each');
	cmp_ok($server->resident - $before, '<', 50_000, 'kB more at most');
};

done_testing();
