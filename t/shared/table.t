use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== rows and columns
--- app
local luaserv = require "luaserv"
local users = luaserv.table("users", 3, { name = "string(8)", age = "int", score = "float" })
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local function show(...)
		local parts = {}
		for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
		res:write(table.concat(parts, " ") .. "\n")
	end
	show(users:get("ann"), users:exists("ann"), users:count())
	show(users:set("ann", { name = "Ann", age = 30 }))
	show(users:get("ann", "name"), users:get("ann", "age"), users:get("ann", "score"))
	show(users:set("ann", { score = 0.5 }), users:get("ann").age, users:get("ann").score)
	show(users:incr("ann", "age"), users:decr("ann", "age", 11), users:incr("ann", "score", 0.25), users:incr("new", "age", 5))
	show(users:add("ann", { age = 1 }))
	show(users:update("nobody", { age = 1 }))
	show(users:set("bob", { name = "longer than 8" }))
	show(users:set("bob", { name = "" }), users:set("eve", { age = 1 }))
	show(users:count(), users:capacity())
	local keys = {}
	for key, row in users:each() do keys[#keys + 1] = key .. row.age end
	table.sort(keys)
	show(table.concat(keys, " "))
	show(users:getdel("new").age, users:del("new"), users:del("bob"), users:count())
	show(users:set(("k"):rep(65), { age = 1 }))
	show((select(2, pcall(users.set, users, "ann", { agee = 1 })):gsub("^.*app.lua:%d+: ", "")))
	show((select(2, pcall(users.set, users, "ann", { age = "1" })):gsub("^.*app.lua:%d+: ", "")))
	show((select(2, pcall(users.set, users, "ann", { age = 1.5 })):gsub("^.*app.lua:%d+: ", "")))
	show((select(2, pcall(users.incr, users, "ann", "name")):gsub("^.*app.lua:%d+: ", "")))
	show(users:set("z\0z", { age = 26 }), users:get("z\0z", "age"), users:get("z"))
	show(users:set("z\0z", { age = 2^53 }), users:incr("z\0z", "age", 2))
	res:finish()
end)
server:start()
--- request
GET /
--- response_body
nil false 0
true
Ann 30 0
true 30 0.5
31 20 0.75 5
nil the key exists 509
nil the key does not exist 550
nil column "name" holds 8 bytes, the string has 13 1203
true nil table "users" is full: 3 of 3 rows 1203
3 3
ann20 bob0 new5
5 false true 1
nil a key has 1 to 64 bytes 505
table:set: there is no column "agee"; there are age int, name string(8), score float
table:set: column "age" takes a number, not a string
table:set: column "age" takes an integer within 2^53, not 1.5
table:incr: column "name" holds strings
true 26 nil
true nil the number would be beyond 2^53 1203

=== a table that cannot be
--- app
local luaserv = require "luaserv"
luaserv.table("t", 10, { a = "text" })
luaserv.http("127.0.0.1", $PORT):start()
--- must_die
--- error_log
luaserv.table: column "a" is "text" ("int", "float" or "string(n)" with n from 1 to 65536 expected)

=== two tables of one name
--- app
local luaserv = require "luaserv"
luaserv.table("t", 10, { a = "int" })
luaserv.table("t", 10, { a = "int" })
luaserv.table("t", 20, { a = "int" })
luaserv.http("127.0.0.1", $PORT):start()
--- must_die
--- error_log
"t" is declared twice: as a table of 10 rows: a int, and as a table of 20 rows: a int
