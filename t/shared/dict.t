use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== what OpenResty's shared dict can
--- app
local luaserv = require "luaserv"
local dict = luaserv.dict("cache", "1m")
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local function show(...)
		local parts = {}
		for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
		res:write(table.concat(parts, " ") .. "\n")
	end
	show(dict:get("a"))
	show(dict:set("a", "text"), dict:get("a"))
	show(dict:set("a", 1.5, 0, 7), dict:get("a"))
	show(dict:set("a", false), dict:get("a"))
	show(dict:set("a", { list = { 1, 2, { deep = "yes" } } }), dict:get("a").list[3].deep)
	show(dict:add("a", 1))
	show(dict:add("b", 1), dict:replace("b", 2), dict:get("b"))
	show(dict:replace("c", 1))
	show(dict:incr("b"), dict:incr("b", 10), dict:incr("n", 1, 100), dict:incr("n", 1, 100))
	show(dict:incr("none"))
	show(dict:incr("a", 1))
	show(dict:delete("a"), dict:delete("a"), dict:set("b", nil), dict:get("b"))
	show(dict:rpush("q", "one"), dict:rpush("q", 2), dict:lpush("q", { "zero" }), dict:llen("q"))
	show(dict:get("q"))
	show(dict:lpop("q")[1], dict:rpop("q"), dict:lpop("q"), dict:lpop("q"), dict:llen("q"))
	show(dict:set("t", "old", 60), dict:ttl("t") > 50, dict:expire("t", 0), dict:ttl("t"))
	show(dict:expire("none", 1))
	dict:set("short", "gone", 0.001)
	luaserv.sleep(0.01)
	show(dict:get("short"), dict:get_stale("short"))
	show(dict:flush_expired(), dict:get_stale("short"))
	local keys = dict:get_keys()
	table.sort(keys)
	show(table.concat(keys, ","))
	show(#dict:get_keys(1), dict:capacity(), dict:free_space() > 900000, dict:stats().count)
	dict:flush_all()
	show(dict:get("t"), dict:get_stale("t"))
	show(dict:flush_expired(1), dict:flush_expired(), dict:stats().count)
	show(dict:set("big", ("x"):rep(2000000)))
	show(dict:set("", 1))
	show(dict:set(12, "number"), dict:get("12"))
	show((select(2, pcall(dict.set, dict, "f", { user = { fn = print } })):gsub("^.*app.lua:%d+: ", ""):gsub(" to another.*", "")))
	show((select(2, pcall(dict.set, dict, "f", 1, -1)):gsub("^.*app.lua:%d+: ", "")))
	res:finish()
end)
server:start()
--- request
GET /
--- response_body
nil
true text
true 1.5 7
true false
true yes
nil exists 509
true true 2
nil not found 550
3 13 101 102
nil not found 550
nil the value is of another kind 509
true false true nil
1 2 3 3
nil the value is of another kind 509
zero 2 one nil 0
true true true 0
nil not found 550
nil gone nil true
1 nil
n,t
1 1048576 true 2
nil old nil true
1 1 0
nil the value does not fit into dict "cache" (one has room for 952080 bytes) 1203
nil a key has 1 to 65535 bytes 505
true number
dict:set: value.user.fn is a function, which cannot be sent
bad argument #3 to 'dict:set' (seconds from 0 on expected, got -1)

=== the least recently used give way
--- app
local luaserv = require "luaserv"
local dict = luaserv.dict("cache", "64k")
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local n = 0
	while dict:safe_set("key" .. n, ("v"):rep(1000)) do n = n + 1 end
	res:write(tostring(n > 40) .. " " .. table.concat({ select(2, dict:safe_set("more", ("v"):rep(1000))) }, " ") .. "\n")
	dict:get("key0")
	local ok, message, evicted = dict:set("more", ("v"):rep(1000))
	res:write(tostring(ok) .. " " .. tostring(message) .. " " .. evicted .. "\n")
	res:finish(#dict:get("key0") .. " " .. tostring(dict:get("key1")) .. " " .. dict:stats().evicted .. "\n")
end)
server:start()
--- request
GET /
--- response_body
true no memory: dict "cache" is full 501
true nil 1
1000 nil 1
