use lib 't/lib';
use Test::Luaserv;

matrix 'a detached response is finished later, by a timer' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:detach()
	server:after(20, function() res:finish(server.mode .. "\n") end)
end)
server:start()
LUA
	is($server->get('/')->body, "$mode\n", 'the answer comes');
	is($server->get('/')->body, "$mode\n", 'and the next');
	$server->stop;
	unlike($server->log, qr/max_wait_time is over/, 'nothing is left that a stop would wait for');
};

done_testing;
