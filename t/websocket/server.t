# What an app does with WebSockets: events and their order, push, disconnect, groups, the handshake, silence; and that they survive reloads
# and the deaths of workers.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::WebSocket;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.websocket("127.0.0.1", $PORT)
$NOTE
local version = "v1"
server:set { worker_num = 1 }
server:on("open", function(server, req)
	note("open", req.path, req.query.name or "-", req:header("x-kind") or "-")
	if req.query.welcome then server:push(req.fd, ("welcome %s %s"):format(req.query.welcome, tostring(server:is_established(req.fd)))) end
end)
local verbs = {}
function verbs.echo(fd, rest) return server:push(fd, rest) end
function verbs.binary(fd, rest) return server:push(fd, rest, "binary") end
function verbs.frame(fd, rest) return server:push(fd, { data = rest, opcode = luaserv.websocket_opcode.text }) end
function verbs.parts(fd)
	server:push(fd, "one ", "text", false)
	server:push(fd, "ping", "ping")
	server:push(fd, "two ", 0, false)
	return server:push(fd, "three", "continuation")
end
function verbs.big(fd, rest) return server:push(fd, ("x"):rep(tonumber(rest))) end
function verbs.quit(fd, rest) return server:disconnect(fd, 4001, rest) end
function verbs.close(fd) return server:close(fd) end
function verbs.reset(fd) return server:close(fd, true) end
function verbs.fail() error("broken on purpose") end
function verbs.join(fd, rest) server:join(fd, rest) return server:push(fd, "joined") end
function verbs.say(fd, rest)
	local group, text = rest:match("^(%S+) (.*)$")
	return server:publish(group, text, nil, fd)
end
function verbs.version(fd) return server:push(fd, version) end
function verbs.die() os.execute("kill -9 " .. server.worker_pid) end
function verbs.slow(fd, rest) luaserv.sleep(0.05) return server:push(fd, rest) end
function verbs.tell(fd, rest)
	local to, text = rest:match("^(%d+) (.*)$")
	to = tonumber(to)
	local sent, message, code = server:push(to, text)
	return server:push(fd, ("%s %s %s %s"):format(tostring(sent), message or "-", code or "-", tostring(server:is_established(to))))
end
function verbs.me(fd) return server:push(fd, ("%d"):format(fd)) end
function verbs.wrong(fd)
	local out = {}
	local function say(...) out[#out + 1] = select("#", ...) > 1 and ("%s %s"):format(select(2, ...), select(3, ...) or "") or tostring((...)) end
	say(server:push(fd, "\255"))
	say(server:push(fd, ("p"):rep(126), "ping"))
	say(server:send(fd, "raw"))
	say(server:sendfile(fd, "/etc/passwd"))
	say(pcall(server.push, server, fd, "x", "unknown"))
	say(pcall(server.push, server, fd, true))
	say(pcall(server.disconnect, server, fd, 999))
	say(pcall(server.disconnect, server, fd, 1005))
	say(pcall(server.disconnect, server, fd, 1000, ("r"):rep(124)))
	say(server:publish("g", "x", "ping"))
	return server:push(fd, table.concat(out, "\n"))
end
function verbs.info(fd)
	local info = server:get_client_info(fd)
	return server:push(fd, ("%s %s"):format(info.remote_ip, info.websocket_status))
end
server:on("message", function(server, frame)
	if frame.opcode ~= 1 then
		note("message", frame.opcode, frame.data)
		return
	end
	local verb, rest = frame.data:match("^(%a+) ?(.*)$")
	local sent, message, code = verbs[verb](frame.fd, rest, frame)
	if verb ~= "die" and not sent then note("refused", message, code) end
end)
server:on("close", function(server, fd, reactor_id, info)
	note("close", info.by, info.code, info.reason, info.cause, tostring(info.bytes_in > 0 and info.bytes_out > 0))
end)
EXTRA
server:start()
LUA

sub app_with ($extra) { return $app =~ s/^EXTRA$/$extra/mr }
sub websocket ($server, %o) { return Test::Luaserv::WebSocket->open($server, %o) }
sub said ($ws) { return ($ws->read_message)[1] // 'the end' }
sub asked ($ws, $text) { return said($ws->send(1, $text)) }

matrix 'open, messages and the end are told in order, and with what they need' => sub ($mode) {
	my $server = start_server(app => app_with(''));
	my $ws = websocket($server, path => '/chat?name=Ann&welcome=Bob', headers => "X-Kind: test\n");

	is(said($ws), 'welcome Bob true', 'pushed in the open handler');
	is(asked($ws, 'echo hello'), 'hello', 'a text');
	is_deeply([ $ws->send(1, 'binary bits')->read_message ], [ 2, 'bits' ], 'binary');
	is(asked($ws, 'frame framed'), 'framed', 'a frame as a table');
	is_deeply([ $ws->send(1, 'parts')->read_message ], [ 9, 'ping' ], 'a ping between parts of a message');
	is_deeply([ $ws->read_message ], [ 1, 'one two three' ], 'whose parts make one');
	is(asked($ws, 'info'), '127.0.0.1 3', 'get_client_info knows what it is');
	$ws->send(1, 'slow first')->send(1, 'echo second')->send(8, pack('n', 4711) . 'enough');
	is(said($ws), 'first', 'messages are handled one after the other');
	is(said($ws), 'second', 'also the last one before the end');
	is($ws->close_code, 4711, 'and then the end is answered');
	my $gone = websocket($server);
	$gone->client->close;
	my $quit = websocket($server);
	$quit->send(1, 'quit done here');
	is(($quit->read_message)[1], pack('n', 4001) . 'done here', 'disconnect');
	is($quit->read_frame, undef, 'then nothing');
	is(websocket($server)->send(1, 'close')->close_code, 1000, 'close says goodbye too');
	ok(!defined websocket($server)->send(1, 'reset')->read_frame, 'but not with a reset');
	my $wrong = websocket($server);
	is(asked($wrong, 'echo well'), 'well', 'one is open');
	is($wrong->send(1, 'x', mask => '')->close_code, 1002, 'and breaks the rules');
	my @notes = $server->wait_notes(12);
	my @close = sort grep { /^close/ } @notes;
	is_deeply([ grep { !/^close/ } @notes ], [ 'open /chat Ann test', ('open / - -') x 5 ], 'opened');
	is_deeply(\@close, [ sort 'close peer 4711 enough goodbye true', 'close peer 1006  normal true', 'close server 4001 done here by_app true', 'close server 1000  by_app true',
		'close server 1000  by_app true', 'close error 1002  malformed true' ], 'closed');
};

matrix 'what cannot be done is said' => sub ($mode) {
	my $server = start_server(app => app_with(''));
	my $ws = websocket($server);
	my @lines = split /\n/, asked($ws, 'wrong');

	is(shift @lines, 'the text is not UTF-8; send it as binary 505', 'a text that is none');
	is(shift @lines, 'the arguments make no sense 505', 'a ping too long');
	is(shift @lines, 'that cannot be done here 509', $_) for 'raw bytes', 'a file';
	like(shift @lines, qr/server:push: that is no opcode; there are text, binary/, 'an unknown opcode');
	like(shift @lines, qr/bad argument #2 to 'server:push' \(string or frame expected, got/, 'no message');
	like(shift @lines, qr/server:disconnect: $_ is no code for a Close frame/, "code $_") for 999, 1005;
	like(shift @lines, qr/the reason must be UTF-8 and have at most 123 bytes/, 'a reason too long');
	is(shift @lines, 'the arguments make no sense 505', 'a ping for a group');
	is($ws->send(1, 'fail')->close_code, 1011, 'a handler that fails ends the connection');
	ok($server->wait_log(qr/the message handler failed, fd \d+: .*broken on purpose/), 'the log says why');
	$server->forget_log;
};

matrix 'other workers, and groups' => sub ($mode) {
	my $server = start_server(app => app_with('server:set { websocket_compression = true, websocket_compression_min_length = 32 }'), settings => { worker_num => 3 });
	my @all = map { websocket($server, ($_ % 3 == 0 ? (deflate => 'permessage-deflate') : ())) } 1 .. 9;
	my @ids = map { asked($_, 'me') } @all;
	my $long = 'the same words again and again; ' x 1000;

	for my $i (1 .. 8) {
		is(asked($all[0], "tell $ids[$i] hello $i"), 'true - - true', 'told');
		is(said($all[$i]), "hello $i", 'and heard');
	}
	is(asked($all[0], 'tell 4503599627370496 x'), ($mode eq 'base' ? 'nil there is no such connection 1005 false' : 'nil there is no such connection 1005 false'),
		'one that is not there');
	is(asked($_, 'join room'), 'joined', 'joined') for @all[ 1 .. 8 ];
	for my $text ('short', $long) {
		$all[1]->send(1, "say room $text");
		is(said($_), $text, 'published') for @all[ 2 .. 8 ];
		ok($all[1]->client->quiet(0.01), 'not to who said it');
	}
	is(asked($all[$_], "big $_"), 'x' x $_, 'and messages of its own follow') for 2 .. 8;
	$all[2]->send(8, pack 'n', 1000);
	is($all[2]->close_code, 1000, 'one leaves');
	$server->wait_status(sub ($s) { $s->{connections} == 8 });
	is(asked($all[0], "tell $ids[2] x") =~ s/^(true|nil) .* (\S+)$/$2/r, 'false', 'it is not there any more');
};

matrix 'the handshake' => sub ($mode) {
	my $server = start_server(app => app_with(<<'LUA'));
server:set { websocket_subprotocol = { "chat.v2", "chat.v1" }, websocket_origins = { "https://example.com", "null" } }
server:listen("127.0.0.1", $PORT_2):set({}):on("handshake", function(req, res)
	if req.path == "/no" then return res:status(401):header("www-authenticate", "Basic"):finish("who are you?") end
	if req.path == "/early" then res:cookie { name = "id", value = "7" }; res:header("sec-websocket-protocol", "mine") end
	if req.path == "/own" then res:status(101); assert(res:finish()) end
	if req.path == "/later" then
		res:detach()
		luaserv.go(function() luaserv.sleep(0.02) res:status(101):finish() end)
	end
	if req.path == "/broken" then error("no handshake today") end
end)
server:on("request", function(req, res) res:finish("plain " .. req.path) end)
LUA
	my $ask = sub (%o) { (Test::Luaserv::WebSocket->ask($server, %o))[1] };
	my $head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

	is(websocket($server, headers => "Sec-WebSocket-Protocol: $_->[0]\n")->field('sec-websocket-protocol'), $_->[1], "sub-protocols $_->[0]")
		for [ 'chat.v1', 'chat.v1' ], [ 'chat.v1, chat.v2', 'chat.v2' ], [ "x\nSec-WebSocket-Protocol: chat.v1", 'chat.v1' ], [ 'CHAT.V1', undef ];
	is($ask->(headers => "Origin: $_->[0]\n")->{status}, $_->[1], "origin $_->[0]")
		for [ 'https://example.com', 101 ], [ 'HTTPS://EXAMPLE.COM', 101 ], [ 'null', 101 ], [ 'https://example.com.evil.org', 403 ], [ 'http://example.com', 403 ];
	my %refused = ('no key' => [ 400, 'Sec-WebSocket-Version: 13' ], 'a short key' => [ 400, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2hvcnQ=" ],
		'a key that is no base64' => [ 400, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==" ],
		'two keys' => [ 400, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" ],
		'no version' => [ 400, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' ],
		'another version' => [ 426, "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==" ]);
	for my $what (sort keys %refused) {
		my ($status, $fields) = $refused{$what}->@*;
		my $answer = $ask->(raw => "$head$fields\r\n\r\n");
		is($answer->{status}, $status, $what);
		is($answer->{fields}{'sec-websocket-version'}, $status == 426 ? '13' : undef, 'the version it speaks');
	}
	my $key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
	is($ask->(raw => "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n$key\r\n")->{status}, 400, 'a POST');
	is($ask->(raw => "GET / HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n$key\r\n")->{status}, 400, 'HTTP/1.0');
	is($ask->(raw => "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive\r\n$key\r\n")->{status}, 400, 'no Connection: Upgrade');
	is($server->get('/page')->body, 'plain /page', 'other requests go to their handler');

	my @at2 = (port => $server->port(2));
	my ($ws, $answer) = Test::Luaserv::WebSocket->ask($server, path => '/no', @at2);
	is($answer->{status}, 401, 'the app refuses');
	is($ws->client->recv(length 'who are you?'), 'who are you?', 'with a body');
	$ws = websocket($server, path => '/early', @at2);
	is($ws->field('set-cookie'), 'id=7', 'the app adds a field');
	is($ws->field('sec-websocket-protocol'), 'mine', 'and says the sub-protocol');
	is(asked($ws, 'echo works'), 'works', 'it works');
	is(asked(websocket($server, path => $_, @at2), 'echo works'), 'works', "accepted by the app itself: $_") for '/own', '/later';
	is($ask->(path => '/broken', @at2)->{status}, 500, 'a handler that fails');
	ok($server->wait_log(qr/the handshake handler failed, fd \d+, GET \/broken/), 'which the log tells');
	$server->forget_log;
	is_deeply([ grep { /early|own|later/ } $server->notes ], ['open /early - -'], 'the open event, but not where the app said 101 itself');
	my $early = websocket($server, more => Test::Luaserv::WebSocket->frame(1, 'echo at once'));
	is(said($early), 'at once', 'a frame right behind the handshake');
};

matrix 'without a request handler' => sub ($mode) {
	my $server = start_server(app => app_with(''));
	my $response = $server->get('/');

	is($response->status, 426, 'a plain request is told what is spoken here');
	is($response->header('upgrade'), 'websocket', 'by name');
};

matrix 'silence' => sub ($mode) {
	my $server = start_server(app => app_with('server:set { websocket_ping_interval = "50ms", websocket_pong_timeout = "100ms" }'));
	my $dead = websocket($server);
	my $alive = websocket($server);

	for my $i (1 .. 4) {
		is_deeply([ $alive->read_message ], [ 9, '' ], 'a ping');
		$alive->send(10, '');
	}
	is_deeply([ $dead->read_message ], [ 9, '' ], 'the other was pinged too');
	is($dead->close_code, 1008, 'and is closed, since it does not answer');
	like(join("\n", $server->wait_notes(3)), qr/^close limit 1006  timeout_idle true$/m, 'the app is told');
	is_deeply([ $alive->read_message ], [ 9, '' ], 'who answers stays');
};

matrix 'control frames for the app' => sub ($mode) {
	my $server = start_server(app => app_with('server:set { open_websocket_close_frame = true, open_websocket_ping_frame = true, open_websocket_pong_frame = true }'));
	my $ws = websocket($server)->send(9, 'pi')->send(10, 'po')->send(8, pack('n', 1000) . 'x');

	is($ws->close_code, 1000, 'the end is answered, the ping is not');
	is_deeply([ $server->wait_notes(5) ], [ 'open / - -', 'message 9 pi', 'message 10 po', "message 8 \x03\xe8x", 'close peer 1000 x goodbye true' ], 'all are told');
};

matrix 'a reload and the end of the server' => sub ($mode) {
	my $server = start_server(app => app_with(''));
	my $ws = websocket($server);

	is(asked($ws, 'version'), 'v1', 'before');
	my ($code) = $server->reload(app => app_with('') =~ s/"v1"/"v2"/r);
	is($code, 0, 'reloaded');
	if ($mode eq 'process') {
		is(asked($ws, 'version'), 'v2', 'the same connection, the new code');
		is(asked($ws, 'info'), '127.0.0.1 3', 'which knows what it is');
	}
	my $new = websocket($server);
	is(asked($new, 'version'), 'v2', 'a new connection');
	$server->stop;
	is($new->close_code, 1001, 'the server goes away');
};

matrix 'the death of a worker', process => 'in base mode its connections die with it', sub ($mode) {
	my $server = start_server(app => app_with(''));
	my $ws = websocket($server);

	is(asked($ws, 'echo before'), 'before', 'before');
	$server->expect_crash;
	$ws->send(1, 'die')->send(1, 'echo after');
	is(said($ws), 'after', 'a message that it had not taken goes to its successor');
	is(asked($ws, 'big 300000'), 'x' x 300_000, 'and all others');
};

matrix 'one that does not read' => sub ($mode) {
	my $server = start_server(app => app_with('server:set { send_timeout = "200ms", socket_buffer_size = "256k" }'));
	my $ws = websocket($server, rcvbuf => 4096);
	my $other = websocket($server);

	$ws->send(1, 'big 200000') for 1 .. 60;
	$ws->send(9, 'x' x 125) for 1 .. 1000;
	is(asked($other, "echo $_"), $_, 'others are served') for 1 .. 3;
	ok((grep { /^refused (.*)/ } $server->wait_notes(3)), 'sends to it fail in the end');
	my ($messages, $pongs) = (0, 0);
	$ws->client->shutdown;
	while (my ($opcode, $payload) = $ws->read_message) {
		die "torn: $opcode\n" if $opcode == 1 && $payload ne 'x' x 200_000;
		$opcode == 1 ? $messages++ : $pongs++;
	}
	cmp_ok($messages, '<', 60, 'what it gets is whole, though not all');
};

matrix 'contradictions are refused at start', process => 'dispatch_mode is for process mode', sub ($mode) {
	my ($server, $code, $out, $err) = check_app(<<'LUA');
local luaserv = require "luaserv"
local server = luaserv.websocket("127.0.0.1", $PORT)
server:on("open", function() end)
server:start()
LUA
	is($code, 1, 'without a message handler');
	like($err, qr/speaks websocket, but the script registers no "message" handler/, 'it says so');
	($server, $code, $out, $err) = check_app(app_with('server:set { dispatch_mode = "round", worker_num = 2 }'));
	is($code, 1, 'messages for any worker');
	like($err, qr/speaks websocket, but with dispatch_mode round|has a "close" handler, but with dispatch_mode round/, 'it says so');
};

done_testing();
