use lib 't/lib';
use Test::Luaserv;

my $why = 'in base mode a connection lives in its worker';

sub version ($n) {
	return <<"LUA";
local server = require "luaserv".server("127.0.0.1", \$PORT)
server:set { protocol = "eof", package_eof = "\\n" }
\$NOTE
server:on("connect", function(server, fd) note("connect") end)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, "$n " .. fd .. " " .. data) end)
server:on("close", function(server, fd, reactor_id, info) note("close", info.by) end)
server:start()
LUA
}

matrix 'raw connections live through reloads and get the new code', process => $why, sub ($mode) {
	my $server = start_server(app => version(0), settings => { worker_num => 2 });
	my @clients = map { $server->client } 1 .. 20;
	my @ids = map { ($_->send("hello\n")->recv_until("\n") =~ /\A0 (\d+) hello/)[0] } @clients;

	for my $n (1 .. 3) {
		is(($server->reload(app => version($n)))[0], 0, "reload $n");
		my @answers = map { $_->send("again\n")->recv_until("\n") } @clients;
		is_deeply(\@answers, [ map { "$n $_ again\n" } @ids ], 'the connections are the same, the code is new');
	}
	is(scalar(grep { $_ eq 'connect' } $server->notes), 20, 'no connect was told twice');
	is(scalar(grep { /close/ } $server->notes), 0, 'and no close');
	$_->close for @clients;
	my $closed = wait_for(sub { (grep { $_ eq 'close peer' } $server->notes) == 20 });
	ok($closed, 'each close reaches the new generation');
};

matrix 'half a message is completed after the reload', process => $why, sub ($mode) {
	my $server = start_server(app => version(1));
	my $client = $server->client;

	is(($client->send("one\ntw")->recv_until("\n") =~ /(\w+)\n/)[0], 'one', 'before');
	is(($server->reload(app => version(2)))[0], 0, 'reload');
	like($client->send("o\n")->recv_until("\n"), qr/\A2 \d+ two\n\z/, 'after');
};

done_testing();
