use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== modules of the app's folder are found, in folders too, and loaded once
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
local one, two = require "one", require "lib.two"
server:on("request", function(req, res)
	res:finish(one.name .. " " .. two.name .. " " .. tostring(require "one" == one) .. " " .. tostring(require "pack".name) .. "\n")
end)
server:start()
--- files
>>> one.lua
return { name = "one" }
>>> lib/two.lua
return { name = ... }
>>> pack/init.lua
return { name = "pack" }
--- request
GET /
--- response_body
one lib.two true pack

=== a module that is not there names where it was looked for
--- app
require "no.such.module"
--- must_die
--- error_log
no.such.module
app.lua:1

=== a syntax error in a module names the module's file and line
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
require "broken"
server:start()
--- must_die
--- files
>>> broken.lua
local x = 1
local y = = 2
--- error_log
broken.lua:2

=== loaded at run time, from the image
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(require("late").text) end)
server:start()
--- files
>>> late.lua
return { text = "late, but there\n" }
--- request
GET /
--- response_body
late, but there

=== files that belong to the image can be read from it after they have changed on disk
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("worker_start", function()
	local f = io.open("$ROOT/late.lua", "w")
	f:write("return { text = 'changed' }")
	f:close()
end)
server:on("request", function(req, res) res:finish(require("late").text) end)
server:start()
--- files
>>> late.lua
return { text = "as accepted\n" }
--- request
GET /
--- response_body
as accepted

=== code behind start() never runs, and the log says so
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
error("never reached")
--- request
GET /
--- response_body
ok
--- no_error_log
never reached
