use lib 't/lib';
use Test::Luaserv;

my $why = 'in base mode the kernel gives a connection to a worker';

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	if data == "sleep\n" then luaserv.sleep(0.5) end
	while data == "hold\n" and server:exists(fd) do luaserv.sleep(0.01) end
	server:send(fd, server.worker_id .. "\n")
end)
server:start()
LUA

sub ask ($client, $text = "x\n") { return $client->send($text)->recv(2) + 0 }

my %framing = (protocol => 'eof', package_eof => '\n', worker_num => 3);

matrix 'fixed: a connection stays with its worker, and all workers are used', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'fixed' });
	my %used;

	for (1 .. 12) {
		my $client = $server->client;
		my %own = map { ask($client) => 1 } 1 .. 5;
		is(scalar keys %own, 1, 'one worker');
		$used{$_}++ for keys %own;
		$client->close;
	}
	is(join(' ', sort keys %used), '0 1 2', 'all three');
};

matrix 'round: messages take turns', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'round' });
	my $client = $server->client;
	my %used;

	$used{ ask($client) }++ for 1 .. 30;
	is_deeply(\%used, { 0 => 10, 1 => 10, 2 => 10 }, 'evenly');
};

matrix 'idle: a worker with nothing to do is preferred', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'idle' });
	my ($busy, $client) = map { $server->client } 1 .. 2;
	$busy->send("sleep\n");
	ok($server->wait_status(sub { grep { $_->{in_flight} } @{ $_->{workers} } }), 'one is inside a handler');
	my @answers = map { ask($client) } 1 .. 10;
	my $blocked = $busy->recv(2) + 0;

	is_deeply([ grep { $_ == $blocked } @answers ], [], 'the others answer');
};

matrix 'idle: a worker whose Lua does not come back gets no requests', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 3, dispatch_mode => 'idle' });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local t = os.clock()
	if req.path == "/block" then repeat until os.clock() - t > 0.3 end
	res:finish(server.worker_id .. "\n")
end)
server:start()
LUA
	my ($busy, $client) = map { $server->client } 1 .. 2;

	$busy->send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
	ok($server->wait_status(sub { $_->{requests} >= 1 || grep { $_->{in_flight} } @{ $_->{workers} } }), 'it is blocked');
	my @answers = map { $client->get('/')->body } 1 .. 10;
	my $blocked = $busy->response->body;
	is_deeply([ grep { $_ eq $blocked } @answers ], [], 'the others answer');
};

# What twelve connections from as many addresses see of three workers.
sub behaviour ($server) {
	my @clients = map { $server->client(from => "127.0.0.$_") } 1 .. 12;
	my @own = map { my $client = $_; my %used = map { ask($client) => 1 } 1 .. 6; [ keys %used ] } @clients;
	my %all = map { $_ => 1 } map { @$_ } @own;

	return scalar(keys %all) . ' workers, ' . (@{ $own[0] } == 1 ? 'one for each connection' : 'several for a connection');
}

matrix 'Swoole\'s numbers are understood', process => $why, sub ($mode) {
	my %is = (1 => 'several for a connection', 2 => 'one for each connection', 3 => 'several for a connection', 4 => 'one for each connection',
		5 => 'one for each connection', 7 => 'several for a connection', 8 => 'one for each connection', 9 => 'several for a connection',
		10 => 'several for a connection');

	for my $number (sort { $a <=> $b } keys %is) {
		my $server = start_server(app => $app, settings => { %framing, dispatch_mode => $number });
		is(behaviour($server), "3 workers, $is{$number}", "mode $number");
	}
};

matrix 'least: a new connection goes to the worker with least to do, and stays', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'least' });
	my $busy = $server->client;

	my $occupied = ask($busy);
	$busy->send("hold\n");
	ok($server->wait_status(sub { $_->{workers}[$occupied]{in_flight} }), 'one is inside a handler');
	my @clients = map { $server->client } 1 .. 6;
	my @first = map { ask($_) } @clients;
	my %used = map { $_ => 1 } @first;

	is_deeply([ sort keys %used ], [ grep { $_ != $occupied } 0 .. 2 ], 'the two others share them');
	$busy->abort;
	ok($server->wait_status(sub { !$_->{workers}[$occupied]{in_flight} }), 'all are idle');
	is_deeply([ map { ask($_) } @clients ], \@first, 'each stays where it is');
};

matrix 'requests of one connection are spread over workers', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 3, dispatch_mode => 'round' });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(server.worker_id .. "\n") end)
server:start()
LUA
	my $client = $server->client;
	my %used;

	$used{ $client->get('/')->body + 0 }++ for 1 .. 30;
	is_deeply(\%used, { 0 => 10, 1 => 10, 2 => 10 }, 'evenly');
};

matrix 'ip: one client address, one worker', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'ip' });
	my %used = map { ask($server->client) => 1 } 1 .. 10;

	is(scalar keys %used, 1, 'ten connections, one worker');
	$used{ ask($server->client(from => "127.0.0.$_")) } = 1 for 2 .. 20;
	is(scalar keys %used, 3, 'other addresses have others');
};

matrix 'uid: what is bound to one uid meets in one worker', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { %framing, dispatch_mode => 'uid' });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:on("connect", function(server, fd) note("connect", fd) end)
server:on("receive", function(server, fd, reactor_id, data)
	local kind, uid = data:match("^bind (%w+) (%w+)")
	if kind then
		server:send(fd, tostring(server:bind(fd, kind == "number" and tonumber(uid) or uid)) .. "\n")
	elseif data == "last\n" then
		server:send(fd, "first;")
		server:bind(fd, "elsewhere" .. fd)
		server:send(fd, ("x"):rep(100) .. "\n")
	else
		local info = server:get_client_info(fd)
		server:send(fd, server.worker_id .. " " .. type(info.uid) .. " " .. tostring(info.uid) .. "\n")
	end
end)
server:on("close", function(server, fd) note("close", fd) end)
server:start()
LUA
	my @clients = map { $server->client } 1 .. 12;
	my @kinds = ([ string => 'abc' ], [ number => 42 ]);
	my (%workers, %answers);

	for my $i (0 .. $#clients) {
		my ($kind, $uid) = @{ $kinds[ $i % 2 ] };
		is($clients[$i]->send("bind $kind $uid\n")->recv_until("\n"), "true\n", 'bound');
	}
	for my $i (0 .. $#clients) {
		my $answer = $clients[$i]->send("who\n")->recv_until("\n");
		$answers{$answer}++;
	}
	is_deeply([ map { s/^\d //r } sort { $a cmp $b } map { s/^(\d) (.*)/$2/sr } keys %answers ],
		[ "number 42\n", "string abc\n" ], 'six of each, each kind with one worker, which knows the uid');
	is($clients[0]->send("last\n")->recv_until("\n"), 'first;' . 'x' x 100 . "\n", 'what is sent around a move comes whole');
	like($clients[0]->send("who\n")->recv_until("\n"), qr/^\d string elsewhere/, 'and it goes on');
	$_->close for @clients;
	ok($server->wait_status(sub ($s) { $s->{connections} == 0 }), 'all have left');
	my @notes = $server->wait_notes(24);
	is(scalar(grep { /connect/ } @notes), 12, 'each connected once');
	is(scalar(grep { /close/ } @notes), 12, 'and closed once');
};

matrix 'uid: half a message of a protocol in Lua moves with its connection', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 3, dispatch_mode => 'uid' });
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = require "luaserv.protocol.text" }
server:on("receive", function(server, fd, reactor_id, line)
	local uid = line:match("^bind (%w+)")
	server:send(fd, server.worker_id .. " " .. line)
	if uid then server:bind(fd, uid) end
end)
server:start()
LUA
	my @clients = map { $server->client } 1 .. 6;
	my %workers;

	for my $client (@clients) {
		$client->send("bind same\nhal");
		like($client->recv_until("\n"), qr/^\d bind same$/, 'bound');
	}
	for my $client (@clients) {
		my ($worker) = $client->send("f\n")->recv_until("\n") =~ /^(\d) half\n\z/;
		$workers{ $worker // 'torn' }++;
	}
	is((values %workers)[0], 6, 'all meet in one worker, and the halves are whole');
};

matrix 'auto: a slow request does not hold back others', process => $why, sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 2 });
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local t = os.clock()
	if req.path == "/block" then repeat until os.clock() - t > 0.5 end
	res:finish(server.worker_id .. "\n")
end)
server:start()
LUA
	my ($busy, @others) = map { $server->client } 1 .. 9;

	$busy->send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
	ok($server->wait_status(sub { $_->{requests} >= 1 || grep { $_->{in_flight} } @{ $_->{workers} } }), 'it is blocked');
	my @answers = map { $_->get('/')->body } @others;
	my $blocked = $busy->response->body;
	is_deeply([ grep { $_ eq $blocked } @answers ], [], 'the other worker answers');
};

my $http = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(server.worker_id .. "\n") end)
server:start()
LUA

sub workers_of ($client, @requests) {
	my %used = map { $client->get(@$_)->body => 1 } @requests;
	return scalar keys %used;
}

for my $case (
	[ 'header:x-user', [ '/', headers => [ 'X-User' => 'ann' ] ], map { [ '/', headers => [ 'X-User' => "u$_" ] ] } 1 .. 40 ],
	[ 'cookie:sid', [ '/', headers => [ Cookie => 'a=b; sid=ann' ] ], map { [ '/', headers => [ Cookie => "sid=u$_; a=b" ] ] } 1 .. 40 ],
	[ 'path:1', ['/ann/1?x'], map { ["/u$_/1"] } 1 .. 40 ],
) {
	my ($key, $same, @different) = @$case;

	matrix "key: $key", process => $why, sub ($mode) {
		my $server = start_server(app => $http, settings => { worker_num => 3, dispatch_mode => 'key', dispatch_key => $key });
		my $client = $server->client;
		my %own = map { $server->client->get(@$same)->body => 1 } 1 .. 10;

		is(scalar keys %own, 1, 'ten connections with the same key, one worker');
		is(workers_of($client, @different), 3, 'different keys of one connection go to all');
		is(workers_of($client, map { ['/'] } 1 .. 5), 1, 'without it the connection chooses');
	};
}

matrix 'key: bytes of a message', process => $why, sub ($mode) {
	my $server = start_server(app => $app, settings => { %framing, dispatch_mode => 'key', dispatch_key => 'bytes:0:4' });
	my ($one, $other) = map { $server->client } 1 .. 2;
	my %used;

	is(ask($one, "keyA 1\n"), ask($other, "keyA 2\n"), 'the same bytes, the same worker');
	$used{ ask($one, sprintf "k%03d\n", $_) }++ for 1 .. 40;
	is(scalar keys %used, 3, 'others go to all');
};

matrix 'bind without dispatch_mode uid names the connection' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { protocol => 'eof', package_eof => '\n' });
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	local fine, why = pcall(server.bind, server, fd, {})
	server:send(fd, tostring(server:bind(fd, 7)) .. " " .. server:get_client_info(fd).uid .. " " .. why .. "\n")
end)
server:start()
LUA
	like($server->client->send("x\n")->recv_until("\n"), qr/^true 7 .*bad argument #2 to 'server:bind'/, 'told by get_client_info; a table is no name');
};

done_testing();
