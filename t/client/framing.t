# luaserv.client: one message for each recv, framed as a server's ports are.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Upstream;

# Receives with the options that are posted until there is no message; notes each.
my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	local port, options = req:body():match("^(%d+) (.*)$")
	local client = luaserv.client("tcp"):set(assert(loadstring("return " .. options))())
	assert(client:connect("127.0.0.1", tonumber(port)))
	note("connected")
	local all = {}
	repeat
		local message, text, code = client:recv(10)
		all[#all + 1] = message and (#message > 100 and #message or message:gsub("[^%w.]", ".")) or text .. " " .. code
	until not message or message == ""
	res:finish(table.concat(all, " "))
end)
server:start()
LUA

# What the app made of the pieces, each of which it may have read before the next is sent.
sub receive ($server, $options, @pieces) {
	my $upstream = Test::Luaserv::Upstream->listen;
	my $client = $server->client(timeout => 20);

	$client->send($client->request_text('POST', '/', body => $upstream->port . " $options"));
	my $peer = $upstream->accept;
	$peer->send($_) for @pieces;
	$peer->close;
	return $client->response->body;
}

matrix 'eof' => sub ($mode) {
	my $server = start_server(app => $app);
	my $lines = '{ open_eof_split = true, package_eof = "\\r\\n" }';

	is(receive($server, $lines, "one\r\ntwo\r\n"), 'one.. two.. ', 'two that came together');
	is(receive($server, $lines, split //, "one\r\ntwo\r\n"), 'one.. two.. ', 'byte by byte');
	is(receive($server, '{ protocol = "eof", package_eof = "\\n" }', "a\n" x 3), 'a. a. a. ', 'by protocol');
	is(receive($server, $lines, "one\r\ntw"), 'one.. the connection was closed by the peer within a message 1002', 'cut');
	is(receive($server, '{ open_eof_check = true, package_eof = "\\n" }', "a\nb\n"), 'a.b. ', 'check: what ends with it');
	is(receive($server, '{ open_eof_split = true, package_eof = "\\n", package_max_length = 1000 }', 'x' x 2000),
		'the message is longer than package_max_length 1201', 'too long');
	is(receive($server, $lines, ('x' x 100_000) . "\r\n" . ('y' x 200_000) . "\r\n"), '100002 200002 ', 'larger than a read');
};

matrix 'length' => sub ($mode) {
	my $server = start_server(app => $app);
	my $framing = '{ open_length_check = true, package_length_type = "n", package_length_offset = 1, package_body_offset = 4 }';
	my $message = sub ($body) { 'T' . pack('n', length $body) . '-' . $body };

	is(receive($server, $framing, $message->('hello') . $message->('') . $message->('you')), 'T...hello T... T...you ', 'three in one');
	is(receive($server, $framing, split //, $message->('hello') . $message->('you')), 'T...hello T...you ', 'byte by byte');
	is(receive($server, $framing, $message->('z' x 60_000)), '60004 ', 'a long one');
	is(receive($server, '{ open_length_check = true }', pack 'N', 3_000_000_000), 'the message is longer than package_max_length 1201', 'a lie');
	is(receive($server, '{ open_length_check = true, package_length_type = "s" }', pack('s', -1)), 'what was received breaks the framing 1204', 'nonsense');
	is(receive($server, '{ open_length_check = true }', "\0\0"), 'the connection was closed by the peer within a message 1002', 'cut in its header');
};

matrix 'a message that was promised costs no memory' => sub ($mode) {
	my $server = start_server(app => $app);
	my $before = $server->resident;
	my $upstream = Test::Luaserv::Upstream->listen;
	my @clients = map { $server->client(timeout => 20) } 1 .. 10;

	$_->send($_->request_text('POST', '/',
		body => $upstream->port . ' { open_length_check = true, package_max_length = "500m" }')) for @clients;
	my @peers = map { $upstream->accept->send(pack('N', 400_000_000) . 'x') } @clients;
	is(scalar($server->wait_notes(10)), 10, 'all are connected');
	cmp_ok($server->resident - $before, '<', 50_000, 'kB more at most');
	$_->abort for @peers;
	is($_->response->body, 'Connection reset by peer 104', 'told') for @clients;
};

matrix 'framing may change between messages' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local client = luaserv.client("tcp"):set { open_eof_split = true, package_eof = "\n" }
	client:connect("127.0.0.1", tonumber(req:body()))
	local line = client:recv()
	client:set { protocol = "length", open_eof_split = false, package_length_type = "C" }
	local message = client:recv()
	client:set { protocol = "tcp" }
	res:finish(line .. message .. client:recv())
end)
server:start()
LUA
	my $upstream = Test::Luaserv::Upstream->listen;
	my $client = $server->client;

	$client->send($client->request_text('POST', '/', body => $upstream->port));
	my $peer = $upstream->accept->send("line\n\3abcrest");
	is_string($client->response->body, "line\n\3abcrest", 'what had come is framed anew');
};

done_testing();
