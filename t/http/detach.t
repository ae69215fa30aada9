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

matrix 'a worker that is asked to leave can end what it has detached' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local open = {}
server:on("request", function(req, res)
	res:write("begun, ")
	open[#open + 1] = res:detach()
end)
server:on("worker_exit", function()
	for _, res in ipairs(open) do res:finish("ended\n") end
end)
server:start()
LUA
	my $client = $server->client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

	$client->fill_until('the beginning', sub { $client->unread =~ /begun, / });
	is(($server->reload)[0], 0, 'a reload');
	is($client->response->body, "begun, ended\n", 'ends the answer, since its worker says so');
	unlike($server->log, qr/max_wait_time is over/, 'nothing had to be given up');
};

done_testing;
