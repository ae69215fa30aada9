use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== without coroutines handlers run plainly
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:set { enable_coroutine = false }
server:on("request", function(req, res)
	local _, main = coroutine.running()
	res:finish(req.method .. " " .. req:body() .. "\n")
end)
server:start()
--- pipelined_requests eval
["POST /\nabc", "GET /"]
--- response_body eval
["POST abc\n", "GET \n"]
--- no_error_log
[error]

=== what would wait refuses with a sentence
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:set { enable_coroutine = false }
server:on("request", function(req, res)
	local fine, message = pcall(luaserv.sleep, 0.01)
	res:finish(tostring(fine) .. " " .. tostring(message) .. "\n")
end)
server:start()
--- request
GET /
--- response_body_like
^false .*(coroutine|wait).*

=== errors are answered and logged as ever
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:set { enable_coroutine = false }
server:on("request", function(req, res)
	if req.path == "/bad" then error("plainly wrong") end
	res:finish("fine\n")
end)
server:start()
--- pipelined_requests eval
["GET /bad", "GET /"]
--- error_code eval
[500, 200]
--- error_log
plainly wrong
stack traceback

=== raw TCP and timers
--- app
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { enable_coroutine = false, protocol = "eof", package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	luaserv.after(5, function() server:send(fd, "later " .. data) end)
	server:send(fd, "now " .. data)
end)
server:start()
--- tcp_send eval
"x\n"
--- tcp_recv eval
"now x\nlater x\n"
