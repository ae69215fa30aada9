# luaserv.client: much data, slow peers, files.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Upstream;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
_G.note = note
_G.luaserv = luaserv
server:on("request", function(req, res)
	if req.path == "/ping" then return res:finish("pong") end
	res:finish(tostring(assert(loadstring(req:body(), "@posted"))()))
end)
local echo = server:listen("127.0.0.1", $PORT_2)
echo:set { protocol = "tcp" }
echo:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA

sub begin ($server, $lua) {
	my $client = $server->client(timeout => 30);

	$client->send($client->request_text('POST', '/', body => $server->expand($lua)));
	return $client;
}

matrix '8 MB to a slow reader and back' => sub ($mode) {
	my $server = start_server(app => $app);
	my $upstream = Test::Luaserv::Upstream->listen(rcvbuf => 8192);
	my $port = $upstream->port;
	my $text = join '', map { sprintf "%07d\n", $_ } 1 .. 1_048_576;
	my $answer = begin($server, <<"LUA");
local lines = {}
for i = 1, 1048576 do lines[i] = ("%07d\\n"):format(i) end
local text = table.concat(lines)
local c = luaserv.client()
assert(c:connect("127.0.0.1", $port))
local sent = c:send(text)
note("sent", sent)
local got = {}
repeat
	got[#got + 1] = c:recv()
until got[#got] == ""
return sent .. " " .. tostring(table.concat(got) == text)
LUA
	my $peer = $upstream->accept;
	is($server->get('/ping')->body, 'pong', 'nobody else waits');
	is_deeply([ $server->notes ], [], 'the sender does');
	is_string($peer->recv(length $text), $text, 'all of it arrives');
	$server->wait_notes(1);
	for (my $at = 0; $at < length $text; $at += 1_000_000) {
		$peer->send(substr $text, $at, 1_000_000);
	}
	$peer->shutdown;
	is($answer->response->body, '8388608 true', 'and comes back');
};

matrix '8 MB through our own echo, both ways at once' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });

	is(begin($server, <<'LUA')->response->body, '8388608 8388608 true', 'one sends, one receives');
local text = ("0123456789abcdef"):rep(2^19)
local c = luaserv.client()
assert(c:connect("127.0.0.1", $PORT_2))
local sent
luaserv.go(function() sent = c:send(text) end)
local got, size = {}, 0
while size < #text do
	got[#got + 1] = assert(c:recv(10))
	size = size + #got[#got]
end
return sent .. " " .. size .. " " .. tostring(table.concat(got) == text)
LUA
};

matrix 'a peer that is always ready starves nobody' => sub ($mode) {
	my $server = start_server(app => $app);
	my $answer = begin($server, <<'LUA');
local c = luaserv.client("udp")
local n, stop = 0, false
luaserv.after(50, function() stop = true end)
while not stop do
	c:sendto("127.0.0.1", 9, "x")
	n = n + 1
end
return n > 10
LUA
	is($answer->response->body, 'true', 'a timer is heard while a coroutine only sends');
};

matrix 'files' => sub ($mode) {
	my $server = start_server(app => $app);
	my $upstream = Test::Luaserv::Upstream->listen;
	my $port = $upstream->port;
	my $text = join '', map { sprintf "%09d\n", $_ } 1 .. 300_000;
	my $path = $server->root . '/large';

	spew($path, $text);
	my $answer = begin($server, <<"LUA");
local c = luaserv.client()
assert(c:connect("127.0.0.1", $port))
c:send("head\\n")
local whole = c:sendfile("$path")
local part = c:sendfile("$path", 5, 7)
local rest = c:sendfile("$path", 2999990)
c:send("tail\\n")
c:close()
return table.concat({ whole, part, rest }, " ")
LUA
	my $peer = $upstream->accept;
	is_string($peer->recv_all, "head\n$text" . substr($text, 5, 7) . substr($text, -10) . "tail\n", 'whole, a part, the rest, in order');
	is($answer->response->body, '3000000 7 10', 'each tells how much');

	my $root = $server->root;
	for my $case (
		[ qq{"$root/none"}, "$root/none: No such file or directory 700" ],
		[ qq{"$root"}, "$root: not a regular file 700" ],
		[ qq{"$path", 3000000}, "$path: 0 bytes from 3000000 on are asked for, but it has only 3000000 505" ],
		[ qq{"$path", 1, 3000000}, "$path: 3000000 bytes from 1 on are asked for, but it has only 3000000 505" ],
	) {
		my ($args, $wanted) = @$case;
		is(begin($server, <<"LUA")->response->body, $wanted, $args =~ s/\Q$root\E/ROOT/r);
local c = luaserv.client()
assert(c:connect("127.0.0.1", $port))
local _, message, code = c:sendfile($args)
return message .. " " .. code
LUA
	}
};

done_testing();
