use lib 't/lib';
use Test::Luaserv;

matrix 'max_coroutine is a bound, and 503 tells it' => sub ($mode) {
	my $server = start_server(settings => { max_coroutine => 5 }, app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/wait" then luaserv.sleep(0.3) end
	res:finish("ok\n")
end)
server:start()
LUA
	my @clients = map { $server->client } 1 .. 10;
	my %codes;

	$_->send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") for @clients;
	$codes{ $_->response->status }++ for @clients;
	cmp_ok($codes{200} // 0, '>=', 4, 'as many as there is room for are served');
	cmp_ok($codes{503} // 0, '>=', 5, 'the others are told') or diag(explain(\%codes));
	is($server->get('/')->status, 200, 'afterwards there is room again');
};

run_tests();
__DATA__

=== requests that wait do not hinder others
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local inside, most = 0, 0
server:on("request", function(req, res)
	inside = inside + 1
	most = math.max(most, inside)
	luaserv.sleep(0.1)
	inside = inside - 1
	res:finish(most .. "\n")
end)
server:start()
--- pipelined_requests eval
["GET /1", "GET /2", "GET /3", "GET /4", "GET /5"]
--- response_body eval
["5\n"]

=== go starts at once, join and wait_group wait
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local order = {}
	local group = luaserv.wait_group()
	for i = 1, 3 do
		group:add(1)
		luaserv.go(function(n)
			order[#order + 1] = "begin " .. n
			luaserv.sleep(0.04 - n / 100)
			order[#order + 1] = "end " .. n
			group:done()
		end, i)
	end
	group:wait()
	res:finish(table.concat(order, ", ") .. "\n")
end)
server:start()
--- request
GET /
--- response_body
begin 1, begin 2, begin 3, end 3, end 2, end 1

=== defer runs at the end, last first, after an error too
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local order = {}
server:on("request", function(req, res)
	if req.path == "/order" then return res:finish(table.concat(order, " ") .. "\n") end
	luaserv.defer(function() order[#order + 1] = "first" end)
	luaserv.defer(function() order[#order + 1] = "second" end)
	luaserv.sleep(0.001)
	order[#order + 1] = "body"
	if req.path == "/error" then error("on purpose") end
	res:finish("ok\n")
end)
server:start()
--- pipelined_requests eval
["POST /", "POST /error"]
--- error_code eval
[200, 500]

=== what defer did
--- request
GET /order
--- response_body
body second first body second first

=== waiting inside pcall, xpcall, iterators, metamethods and the app's own coroutines
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local function nap(value) luaserv.sleep(0.001) return value end
server:on("request", function(req, res)
	res:write("pcall " .. tostring(select(2, pcall(nap, 1))) .. "\n")
	res:write("error " .. tostring(select(2, pcall(function() nap() error("caught", 0) end))) .. "\n")
	res:write("xpcall " .. tostring(select(2, xpcall(function() nap() error("x", 0) end, function(m) return "handled " .. m end))) .. "\n")
	local sum = 0
	for i in function(_, i) i = (i or 0) + 1 if i < 4 then return nap(i) end end do sum = sum + i end
	res:write("iterator " .. sum .. "\n")
	res:write("index " .. setmetatable({}, { __index = function(_, k) return nap(k) end }).key .. "\n")
	local parts = {}
	for value in coroutine.wrap(function() for i = 1, 3 do nap() coroutine.yield(i) end end) do parts[#parts + 1] = value end
	res:write("wrap " .. table.concat(parts, " ") .. "\n")
	local co = coroutine.create(function(a) local b = coroutine.yield(nap(a) + 1) nap() return b * 2 end)
	res:write("resume " .. tostring(select(2, coroutine.resume(co, 1))) .. " " .. tostring(select(2, coroutine.resume(co, 21)))
		.. " " .. coroutine.status(co) .. "\n")
end)
server:start()
--- request
GET /
--- response_body
pcall 1
error caught
xpcall handled x
iterator 6
index key
wrap 1 2 3
resume 2 42 dead

=== waiting inside sort and gsub says what is the matter
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:write(tostring((pcall(table.sort, { 3, 1, 2 }, function(a, b) luaserv.sleep(0) return a < b end))) .. "\n")
	res:write(tostring((pcall(string.gsub, "abc", ".", function() luaserv.sleep(0) end))) .. "\n")
end)
server:start()
--- request
GET /
--- response_body
false
false

=== an error in a coroutine of one's own is logged and harms nobody
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	luaserv.go(function() luaserv.sleep(0.001) error("lonely") end)
	luaserv.sleep(0.02)
	res:finish("ok\n")
end)
server:start()
--- request
GET /
--- response_body
ok
--- error_log
lonely
stack traceback
