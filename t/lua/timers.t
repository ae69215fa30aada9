use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== after runs once, tick again and again until it is cleared
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("worker_start", function(server, worker_id)
	luaserv.after(5, function() note("after") end)
	local count = 0
	local id
	id = luaserv.tick(10, function()
		count = count + 1
		note("tick", count)
		if count == 3 then luaserv.clear(id) end
	end)
	luaserv.after(100, function() note("end") end)
end)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
--- request
GET /
--- notes
after
tick 1
tick 2
tick 3
end

=== a cleared timer does not run; clearing tells whether there was one
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local ran = false
	local id = luaserv.after(5, function() ran = true end)
	local first, second = luaserv.clear(id), luaserv.clear(id)
	luaserv.sleep(0.03)
	res:finish(tostring(ran) .. " " .. tostring(first) .. " " .. tostring(not second) .. "\n")
end)
server:start()
--- request
GET /
--- response_body
false true true

=== timers run in coroutines, so they may wait
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local box = luaserv.channel(1)
	luaserv.after(1, function() luaserv.sleep(0.005) box:push("from the timer") end)
	res:finish(box:pop() .. "\n")
end)
server:start()
--- request
GET /
--- response_body
from the timer

=== an error in a timer is logged, and a tick goes on
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local count = 0
server:on("worker_start", function()
	luaserv.tick(5, function() count = count + 1 if count == 1 then error("timer trouble") end end)
end)
server:on("request", function(req, res)
	repeat luaserv.sleep(0.002) until count > 3
	res:finish("ok\n")
end)
server:start()
--- request
GET /
--- response_body
ok
--- error_log
timer trouble

=== wrong intervals are errors
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	for _, bad in ipairs { -1, 0 / 0, "soon" } do res:write(tostring((pcall(luaserv.tick, bad, function() end))) .. "\n") end
	res:write(tostring((pcall(luaserv.after, 10, "nothing to call"))) .. "\n")
end)
server:start()
--- request
GET /
--- response_body
false
false
false
false

=== many timers
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local group, ran = luaserv.wait_group(), 0
	group:add(10000)
	for i = 1, 10000 do luaserv.after(i % 50 + 1, function() ran = ran + 1 group:done() end) end
	group:wait()
	res:finish(ran .. "\n")
end)
server:start()
--- timeout: 10
--- request
GET /
--- response_body
10000
