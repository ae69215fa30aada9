# luaserv.client over TCP: connecting, receiving, sending, and everything that can go wrong meanwhile.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Upstream;

# Runs the Lua text that is posted to it, in a coroutine; port 2 is an echo, port 3 an echo of lines.
my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
_G.note = note
_G.luaserv = luaserv
function _G.show(...)
	local parts = { ... }
	for i = 1, select("#", ...) do parts[i] = tostring(parts[i]) end
	return table.concat(parts, " ")
end
function _G.connected(port, options)
	local client = luaserv.client("tcp"):set(options or {})
	assert(client:connect("127.0.0.1", port))
	return client
end
server:on("request", function(req, res)
	res:finish(tostring(assert(loadstring(req:body(), "@posted"))()))
end)
local echo = server:listen("127.0.0.1", $PORT_2)
echo:set { protocol = "tcp" }
echo:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA

sub run ($server, $lua) { return $server->client(timeout => 20)->post('/', $server->expand($lua))->body }

# Posts without waiting for the answer, which `response` of what is returned gives.
sub begin ($server, $lua) {
	my $client = $server->client(timeout => 20);

	$client->send($client->request_text('POST', '/', body => $server->expand($lua)));
	return $client;
}

matrix 'an echo of our own server' => sub ($mode) {
	my $server = start_server(app => $app);

	is(run($server, <<'LUA'), 'true 5 hello true false true', 'connect, send, recv, close');
local c = luaserv.client("tcp")
local connected = c:connect("127.0.0.1", $PORT_2)
local sent, got, before = c:send("hello"), c:recv(), c:is_connected()
local closed = c:close()
return show(connected, sent, got, before, c:is_connected(), closed)
LUA
	is(run($server, <<'LUA'), 'true x', 'by name');
local c = luaserv.client()
local connected = c:connect("localhost", $PORT_2)
c:send("x")
return show(connected, c:recv())
LUA
	is(run($server, 'local c = connected($PORT_2) c:send(12.5) return c:recv()'), '12.5', 'a number is sent as text');
	is(run($server, <<'LUA'), 'he hello hello nil nothing has come 11', 'peek takes nothing away');
local c = connected($PORT_2)
c:send("hello")
while not c:peek() do luaserv.sleep(0.001) end
while #c:peek() < 5 do luaserv.sleep(0.001) end
return show(c:peek(2), c:peek(), c:recv(), c:peek())
LUA
	is(run($server, <<'LUA'), '127.0.0.1 true 127.0.0.1 true', 'names of both ends');
local c = connected($PORT_2)
local ours, peer = c:getsockname(), c:getpeername()
return show(ours.host, ours.port > 0, peer.host, peer.port == $PORT_2)
LUA
	is(run($server, <<'LUA'), 'true a true b', 'a client connects again after close');
local c = luaserv.client("tcp")
local first = c:connect("127.0.0.1", $PORT_2)
c:send("a")
local a = c:recv()
c:close()
local second = c:connect("127.0.0.1", $PORT_2)
c:send("b")
return show(first, a, second, c:recv())
LUA
};

matrix 'many clients at a time' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_connection => 1000 });

	is(run($server, <<'LUA'), '200 200', 'each gets its own back');
local done, right = luaserv.wait_group(200), 0
for i = 1, 200 do
	luaserv.go(function()
		local c = connected($PORT_2)
		for round = 1, 5 do
			local text = i .. ":" .. round .. ";"
			c:send(text)
			local got = ""
			while #got < #text do got = got .. c:recv() end
			assert(got == text, got)
		end
		c:close()
		right = right + 1
		done:done()
	end)
end
done:wait(20)
return show(200 - done:count(), right)
LUA
	ok($server->wait_status(sub { $_->{connections} == 0 }), 'no connection is left');
};

matrix 'what cannot be connected' => sub ($mode) {
	my $server = start_server(app => $app);
	my $free = Test::Luaserv::Upstream->listen;
	my $port = $free->port;

	$free->close;
	is(run($server, "return show(luaserv.client():connect('127.0.0.1', $port))"),
		"nil cannot connect to 127.0.0.1:$port: Connection refused 111", 'nobody listens');
	like(run($server, "return show(luaserv.client():connect('localhost', $port))"),
		qr/^nil cannot connect to localhost:$port: \S+:$port\S*.*: Connection refused 111$/, 'by name: the address is named');
	like(run($server, "return show(luaserv.client():connect('256.1.1.1.', 80))"),
		qr/^nil cannot connect to 256\.1\.1\.1\.:80: the name cannot be resolved: .+ 711$/, 'a name that is none');
	is(run($server, "return show(luaserv.client('tcp6'):connect('127.0.0.1', 80))"),
		'nil cannot connect to 127.0.0.1:80: that is not an IPv6 address 505', 'the wrong kind');
	is(run($server, "return show(luaserv.client():connect('/tmp/x', 80))"), 'nil cannot connect to /tmp/x:80: that is no host 505', 'a path');
	like(run($server, "return show(pcall(luaserv.client().connect, luaserv.client(), 'localhost', 0))"),
		qr/^false .*bad argument #2 to 'client:connect' \(a port from 1 to 65535 expected, got 0\)$/, 'no port');
	is(run($server, 'local c = connected($PORT_2) return show(c:connect("127.0.0.1", 1))'),
		'nil the client is connected to 127.0.0.1:' . $server->port(2) . '; close it first 106', 'connected already');
	is(run($server, 'local c = luaserv.client() return show(c:recv()) .. "; " .. show(c:send("x"))'),
		join('; ', ('nil the client is not connected 5001') x 2), 'not connected');
};

matrix 'time-outs' => sub ($mode) {
	my $server = start_server(app => $app);
	my $full = Test::Luaserv::Upstream->listen(backlog => 0);
	my @taken = map { eval { Test::Luaserv::Client->connect(port => $full->port, timeout => 0.05) } } 1 .. 3;

	is(run($server, 'return show(luaserv.client():connect("127.0.0.1", ' . $full->port . ', 0.1))'),
		'nil cannot connect to 127.0.0.1:' . $full->port . ': Connection timed out 110', 'connect, by the call');
	is(run($server, 'return show(luaserv.client():set({ connect_timeout = "50ms" }):connect("127.0.0.1", ' . $full->port . '))'),
		'nil cannot connect to 127.0.0.1:' . $full->port . ': Connection timed out 110', 'connect, by the option');

	my $silent = Test::Luaserv::Upstream->listen(rcvbuf => 4096);
	my $port = $silent->port;
	is(run($server, "return show(connected($port):recv(0.02))"), 'nil timeout 110', 'recv, by the call');
	is(run($server, "return show(connected($port, { read_timeout = 0.02 }):recv())"), 'nil timeout 110', 'by the option');
	is(run($server, "return show(connected($port, { timeout = 0.02 }):recv())"), 'nil timeout 110', 'by the one for all');
	is(run($server, "return show(connected($port):recv(0))"), 'nil timeout 110', '0 does not wait');
	like(run($server, "return show(connected($port):send(('x'):rep(2^24), 0.05))"),
		qr/^nil timeout: [1-9]\d* of 16777216 bytes were sent 110$/, 'send tells how much has left');
	is(run($server, <<"LUA"), 'nil timeout 110 later', 'a receiver that gave up is no longer one');
local c = connected(\$PORT_2)
local value, message, code = c:recv(0.01)
c:send("later")
return show(value, message, code, c:recv())
LUA
};

matrix 'the peer closes' => sub ($mode) {
	my $server = start_server(app => $app);
	my $upstream = Test::Luaserv::Upstream->listen;
	my $port = $upstream->port;
	my $answer = begin($server, <<"LUA");
local c = connected($port)
return show(c:recv(), "[" .. c:recv() .. "]", "[" .. c:recv() .. "]", c:is_connected(), c:send("late"))
LUA
	my $peer = $upstream->accept;
	$peer->send('bye');
	$peer->shutdown;
	is($answer->response->body, 'bye [] [] false 4', 'an empty string, as often as asked; sending goes on');
	is($peer->recv(4), 'late', 'and arrives');

	$answer = begin($server, <<"LUA");
local c = connected($port)
note("connected")
return show(c:recv())
LUA
	$peer = $upstream->accept;
	$server->wait_notes(1);
	$peer->abort;
	is($answer->response->body, 'nil Connection reset by peer 104', 'a reset is an error');
};

matrix 'one sends while another receives; two receivers are one too many' => sub ($mode) {
	my $server = start_server(app => $app);

	is(run($server, <<'LUA'), 'got ping', 'one of each');
local c = connected($PORT_2)
local got
luaserv.go(function() got = c:recv() end)
c:send("ping")
while not got do luaserv.sleep(0.001) end
return "got " .. got
LUA
	my $upstream = Test::Luaserv::Upstream->listen(rcvbuf => 4096);
	my $port = $upstream->port;
	like(run($server, <<"LUA"),
local c = connected($port)
luaserv.go(function()
	c:recv()
end)
return show(pcall(c.recv, c))
LUA
		qr/^false .*client:recv: another coroutine \(started by luaserv\.go, waiting at posted:3\) is already in client:recv$/,
		'the error tells who and where');
	like(run($server, <<"LUA"),
local c = connected($port)
luaserv.go(function() c:send(("x"):rep(2^24)) end)
return show(pcall(c.sendfile, c, "/etc/passwd"))
LUA
		qr/^false .*client:sendfile: another coroutine \(started by luaserv\.go, waiting at posted:2\) is already in client:send$/,
		'two senders');
	my $waits = begin($server, "shared = connected($port) return show(shared:recv(10))");
	my @peers = map { $upstream->accept } 1 .. 3;
	wait_for(sub { run($server, 'return tostring(shared)') ne 'nil' });
	like(run($server, 'return show(pcall(shared.recv, shared))'),
		qr/started by the request handler of fd \d+, waiting at posted:1\) is already in client:recv$/, 'a handler is named with its fd');
	is(run($server, 'return show(shared:close())'), 'true', 'closed');
	is($waits->response->body, 'nil the client was closed 1004', 'and told');
};

matrix 'close and cancel while somebody waits' => sub ($mode) {
	my $server = start_server(app => $app);
	my $upstream = Test::Luaserv::Upstream->listen(rcvbuf => 4096);
	my $port = $upstream->port;

	like(run($server, <<"LUA"), qr/^nil the client was closed 1004; nil the client was closed; \d+ of 16777216 bytes were sent 1004$/, 'close wakes both');
local c = connected($port)
local reads, writes
luaserv.go(function() reads = show(c:recv()) end)
luaserv.go(function() writes = show(c:send(("x"):rep(2^24))) end)
c:close()
luaserv.sleep(0.001)
return reads .. "; " .. writes
LUA
	is(run($server, <<"LUA"), 'false cancelled false cancelled', 'cancel raises');
local c = connected($port)
local results = {}
for i, wait in ipairs { function() c:recv() end, function() c:send(("x"):rep(2^24)) end } do
	local id = luaserv.go(function() results[i] = show(pcall(wait)) end)
	luaserv.cancel(id)
end
luaserv.sleep(0.001)
return table.concat(results, " ")
LUA
	my $full = Test::Luaserv::Upstream->listen(backlog => 0);
	my @taken = map { eval { Test::Luaserv::Client->connect(port => $full->port, timeout => 0.05) } } 1 .. 3;
	my $silent = $full->port;
	is(run($server, <<"LUA"), 'nil the client was closed 1004; false cancelled; false client:connect: another', 'while connecting');
local c, results = luaserv.client(), {}
luaserv.go(function() results[1] = show(c:connect("127.0.0.1", $silent)) end)
results[3] = show(pcall(c.connect, c, "127.0.0.1", $silent)):gsub("another.*", "another")
c:close()
luaserv.sleep(0.001)
local id = luaserv.go(function() results[2] = show(pcall(c.connect, c, "127.0.0.1", $silent)) end)
luaserv.cancel(id)
luaserv.sleep(0.001)
return table.concat(results, "; ")
LUA
};

matrix 'a stop cancels those who wait' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_wait_time => '20s' });
	my $upstream = Test::Luaserv::Upstream->listen;
	my $port = $upstream->port;

	is(run($server, <<"LUA"), 'ok', 'a background coroutine receives');
luaserv.go(function() local c = connected($port) note("waits") note(show(pcall(c.recv, c, -1))) end)
return "ok"
LUA
	my $peer = $upstream->accept;
	$server->wait_notes(1);
	is($server->stop, 0, 'stopped');
	is_deeply([ $server->notes ], [ 'waits', 'false cancelled' ], 'it was cancelled');
	is($peer->recv_all, '', 'and its connection closed');
};

matrix 'clients that nobody holds are closed, unless somebody waits' => sub ($mode) {
	my $server = start_server(app => $app);
	my $upstream = Test::Luaserv::Upstream->listen;
	my $port = $upstream->port;

	is(run($server, "connected($port) return 'ok'"), 'ok', 'forgotten');
	my $peer = $upstream->accept;
	run($server, 'collectgarbage() collectgarbage() return 1');
	is($peer->recv_all, '', 'collected and closed');
	is(run($server, "luaserv.go(function() note(connected($port):recv()) end) return 'ok'"), 'ok', 'one without a name');
	$peer = $upstream->accept;
	run($server, 'collectgarbage() collectgarbage() return 1');
	$peer->send('alive');
	is_deeply([ $server->wait_notes(1) ], ['alive'], 'still receives');
	run($server, 'collectgarbage() collectgarbage() return 1');
	is($peer->recv_all, '', 'and is closed afterwards');
};

matrix 'options' => sub ($mode) {
	my $server = start_server(app => $app);
	my %cases = (
		'{ read_timeot = 1 }' => qr/client:set: there is no option "read_timeot"; did you mean "read_timeout"\?/,
		'{ package_eoff = "x" }' => qr/there is no option "package_eoff"; did you mean "package_eof"\?/,
		'{ worker_num = 1 }' => qr/there is no option "worker_num"/,
		'{ timeout = "soon" }' => qr/client:set: timeout .*soon/,
		'{ package_max_length = 0 }' => qr/client:set: package_max_length/,
		'{ protocol = "http" }' => qr/a client's messages are tcp, eof or length/,
		'{ open_eof_check = true, open_length_check = true }' => qr/are both on/,
		'{ open_length_check = true, package_max_length = 2 }' => qr/length field is 4 bytes/,
		'{ 1 }' => qr/an option's name is a string/,
		'{ timeout = {} , connect_timeout = print }' => qr/client:set|setting/,
	);

	like(run($server, "return show(pcall(function() luaserv.client():set $_ end))"), $cases{$_}, $_) for sort keys %cases;
	is(run($server, <<'LUA'), 'true', 'what is refused changes nothing, and set gives the client');
local c = luaserv.client()
c:set { package_eof = "\n" }
pcall(c.set, c, { protocol = "length", nonsense = 1 })
return show(c:set { timeout = -1 } == c)
LUA
	like(run($server, 'return show(pcall(luaserv.client, "sctp"))'), qr/"unix_dgram" expected, got "sctp"/, 'a type that is none');
	like(run($server, 'return show(luaserv.client())'), qr/^client: 0x/, 'a client as text');
};

matrix 'where waiting is impossible' => sub ($mode) {
	my $server = start_server(app => $app, settings => { enable_coroutine => 'false' });

	for my $method (qw(connect send sendfile)) {
		is(run($server, "return show(pcall(luaserv.client().$method, luaserv.client(), 'x', 1))"),
			"false client:$method cannot wait here: enable_coroutine is off", "$method in a plain handler");
	}
	like(run($server, 'return show(pcall(function() luaserv.client():recv() end))'), qr/client:recv cannot wait here: enable_coroutine is off$/, 'recv');
	my $other = new_server();
	ok(!$other->start(app => 'require("luaserv").client("tcp")'), 'in the script');
	like($other->complaint, qr/luaserv\.client cannot be called while the script is evaluated/, 'is refused with a sentence');
};

matrix 'an address of its own' => sub ($mode) {
	my $server = start_server(app => $app);
	my $upstream = Test::Luaserv::Upstream->listen;
	my $port = $upstream->port;

	is(run($server, "local c = connected($port, { bind_address = '127.0.0.7' }) return show(c:getsockname().host)"),
		'127.0.0.7', 'the address');
	is(run($server, 'local s = luaserv.client("udp"):set { bind_address = "127.0.0.8", timeout = 1 } '
		. 's:sendto("127.0.0.1", 9, "x") local own = s:getsockname().port s:close() '
		. "local c = connected($port, { bind_address = '127.0.0.8', bind_port = own }) "
		. 'local name = c:getsockname() return show(name.host, name.port == own)'), '127.0.0.8 true', 'and the port, also of UDP');
	is(run($server, "local c = luaserv.client():set { bind_address = '::1' } return show(c:connect('127.0.0.1', $port))"),
		"nil cannot connect to 127.0.0.1:$port: Address family not supported by protocol 97", 'of another family');
	is(run($server, "local c = luaserv.client():set { bind_address = '192.0.2.1' } return show(c:connect('127.0.0.1', $port))"),
		"nil cannot connect to 127.0.0.1:$port: Cannot assign requested address 99", 'of another machine');
	like(run($server, 'return show(pcall(luaserv.client().set, luaserv.client(), { bind_port = 5 }))'),
		qr/bind_port needs a bind_address/, 'a port alone');
	like(run($server, 'return show(pcall(luaserv.client().set, luaserv.client(), { bind_address = "not.an.ip" }))'),
		qr/client:set: bind_address: /, 'a name');
};

done_testing();
