use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== values come out in the order they went in
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local box = luaserv.channel(2)
	local log = {}
	luaserv.go(function()
		for i = 1, 5 do
			box:push(i)
			log[#log + 1] = "pushed " .. i
		end
	end)
	for i = 1, 5 do log[#log + 1] = "popped " .. box:pop() end
	local pushed, popped = 0, 0
	for _, line in ipairs(log) do
		if line:match("pushed") then pushed = pushed + 1 else popped = popped + 1 end
	end
	res:write(table.concat(log, ","):gsub("pushed %d,?", "") .. "\n")
	res:finish(popped .. "\n")
end)
server:start()
--- request
GET /
--- response_body_like
popped 1,popped 2,popped 3,popped 4,popped 5,?
5

=== a full channel makes the sender wait, an empty one the receiver
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local box = luaserv.channel(1)
	local order = {}
	local group = luaserv.wait_group()
	group:add(1)
	luaserv.go(function()
		box:push("a")
		order[#order + 1] = "first in"
		box:push("b")
		order[#order + 1] = "second in"
		group:done()
	end)
	luaserv.sleep(0.01)
	order[#order + 1] = "length " .. box:length()
	box:pop()
	luaserv.sleep(0.01)
	order[#order + 1] = box:pop()
	group:wait()
	res:finish(table.concat(order, ", ") .. "\n")
end)
server:start()
--- request
GET /
--- response_body
first in, length 1, second in, b

=== timeouts return nil and a message
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local box = luaserv.channel(1)
	local value, message = box:pop(0.01)
	res:write(tostring(value) .. " " .. type(message) .. "\n")
	box:push(1)
	local fine, why = box:push(2, 0.01)
	res:write(tostring(fine) .. " " .. type(why) .. "\n")
	res:finish(box:pop() .. " " .. box:length() .. "\n")
end)
server:start()
--- request
GET /
--- response_body
nil string
nil string
1 0

=== close wakes everybody
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local box = luaserv.channel(1)
	local group, woken = luaserv.wait_group(), 0
	group:add(3)
	for i = 1, 3 do luaserv.go(function() if box:pop() == nil then woken = woken + 1 end group:done() end) end
	luaserv.after(5, function() box:close() end)
	group:wait()
	res:finish(woken .. " " .. tostring(box:push(1)) .. "\n")
end)
server:start()
--- request
GET /
--- response_body
3 nil

=== a sender that may not wait leaves nothing behind
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local box, registry = luaserv.channel(1), debug.getregistry()
	box:push("full")
	local before, refused = #registry, 0
	for i = 1, 200 do
		if not box:push({}, 0) then refused = refused + 1 end
		pcall(box.push, box, {}, 1e300)
	end
	res:finish(refused .. " " .. #registry - before .. "\n")
end)
server:start()
--- request
GET /
--- response_body
200 0

=== requests talk to each other through one
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local box = luaserv.channel(1)
server:on("request", function(req, res)
	if req.path == "/wait" then return res:finish("got " .. box:pop() .. "\n") end
	box:push("word")
	res:finish("given\n")
end)
server:start()
--- pipelined_requests eval
["GET /wait", "GET /give"]
--- response_body eval
["got word\n", "given\n"]
--- stats
connections = 0
