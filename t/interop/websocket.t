# A WebSocket client that is not ours: the Python library websockets, plain and compressed.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Util qw(run_command);

my $python = '/usr/bin/python3'; # the one that Debian's packages are for
matrix 'python3-websockets' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.websocket("127.0.0.1", $PORT)
$NOTE
server:set { websocket_compression = true, websocket_subprotocol = { "echo.v1" } }
server:on("message", function(server, frame) assert(server:push(frame.fd, frame.data, frame.opcode)) end)
server:on("close", function(server, fd, reactor_id, info) note(info.by, info.code, info.reason) end)
server:start()
LUA
	my $url = 'ws://127.0.0.1:' . $server->port . '/';

	is_deeply([ run_command(argv => [ $python, 't/interop/websocket.py', $url ]) ], [ 0, "echo.v1 -\nok\n", '' ], 'plain');
	is_deeply([ run_command(argv => [ $python, 't/interop/websocket.py', $url, 'deflate' ]) ], [ 0, "echo.v1 permessage-deflate\nok\n", '' ], 'compressed');
	is_deeply([ $server->wait_notes(2) ], [ ('peer 4000 enough') x 2 ], 'and it said goodbye');
};

done_testing();
