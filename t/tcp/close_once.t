use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:on("connect", function(server, fd) note("connect", fd) end)
server:on("receive", function(server, fd, reactor_id, data)
	if data == "close" then
		server:close(fd)
		server:close(fd)
	elseif data == "reset" then
		server:close(fd, true)
	elseif data == "late" then
		luaserv.sleep(0.05)
		server:send(fd, "late")
	elseif data == "error" then
		error("on purpose")
	end
end)
server:on("close", function(server, fd, reactor_id, info) note("close", fd, info.by) end)
server:start()
LUA

matrix 'close comes exactly once, however a connection ends' => sub ($mode) {
	my $server = start_server(app => $app);
	my @clients = map { $server->client } 0 .. 59;

	$server->wait_notes(60);
	for my $i (0 .. 59) {
		my $client = $clients[$i];
		my $how = $i % 6;
		$client->close if $how == 0;
		$client->abort if $how == 1;
		$client->send('close') if $how == 2;
		$client->send('reset') if $how == 3;
		do { $client->send('late'); $client->shutdown } if $how == 4;
		do { $client->send('close'); $client->abort } if $how == 5;
	}
	$server->wait_notes(120);
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
	my %closes;
	my @notes = $server->notes;
	$closes{ (split)[1] }++ for grep { /^close/ } @notes;
	is(scalar keys %closes, 60, 'every connection was closed');
	is_deeply([ grep { $_ != 1 } values %closes ], [], 'once each');
	my %by;
	$by{ (split)[2] }++ for grep { /^close/ } @notes;
	cmp_ok($by{server} // 0, '>=', 20, 'those that the app closed know it');
	cmp_ok($by{peer} // 0, '>=', 10, 'those that the client closed know it');
};

matrix 'connect, receive and close of one connection come in one worker, in that order' => sub ($mode) {
	my $server = start_server(settings => { worker_num => 3, heartbeat_idle_time => '1s' }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
$NOTE
local function tell(event) return function(server, fd, reactor_id) note(fd, server.worker_id, event, reactor_id < 0 and "app" or "") end end
local receive = tell "receive"
server:on("connect", tell "connect")
server:on("receive", function(server, fd, reactor_id, data)
	receive(server, fd, reactor_id)
	server:send(fd, "ok")
	if data ~= "stay" then server:close(fd, data == "reset") end
end)
server:on("close", tell "close")
server:start()
LUA
	my @ends = qw(close abort silence app reset);
	my @clients = map { $server->client } 1 .. 30;

	for my $i (0 .. $#clients) {
		my $end = $ends[ $i % 5 ];
		$clients[$i]->send($end =~ /app|reset/ ? $end : 'stay');
		$clients[$i]->recv(2) if $end ne 'reset';
		$clients[$i]->$end if $end =~ /close|abort/;
	}
	my (%of, %by);
	for ($server->wait_notes(90)) {
		my ($fd, $worker, $event, $who) = split ' ';
		push @{ $of{$fd}{$worker} }, $event;
		$by{ $who // '' }++ if $event eq 'close';
	}
	is(scalar keys %of, 30, 'thirty connections');
	is_deeply([ grep { keys %$_ != 1 } values %of ], [], 'each in one worker');
	is_deeply([ grep { "@$_" ne 'connect receive close' } map { values %$_ } values %of ], [], 'each in that order');
	is_deeply(\%by, { '' => 18, app => 12 }, 'reactor_id is -1 if the app has closed it, and not for others');
};

matrix 'ids are not used again' => sub ($mode) {
	my $server = start_server(app => $app);
	my %seen;

	for (1 .. 100) {
		my $client = $server->client;
		$client->close;
	}
	my @notes = $server->wait_notes(200);
	$seen{ (split)[1] }++ for grep { /^connect/ } @notes;
	is(scalar keys %seen, 100, 'a hundred connections, a hundred ids');
	is_deeply([ grep { $_ >= 2**53 || $_ <= 0 } keys %seen ], [], 'each below 2^53');
};

done_testing();
