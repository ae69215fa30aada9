use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== a function of a module, by name
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", "handlers.answer")
server:start()
--- files
>>> handlers.lua
local handlers = {}
function handlers.answer(req, res) res:finish("by name\n") end
return handlers
--- request
GET /
--- response_body
by name

=== a method of an object
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
local object = { text = "by method\n" }
function object:answer(req, res) res:finish(self.text) end
server:on("request", { object, "answer" })
server:start()
--- request
GET /
--- response_body
by method

=== a callable table
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", setmetatable({}, { __call = function(self, req, res) res:finish("by call\n") end }))
server:start()
--- request
GET /
--- response_body
by call

=== Swoole's spellings of an event, and the last registration wins
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
local greeting
server:on("WorkerStart", function() greeting = "started " end)
server:on("receive", function() error("replaced") end)
server:on("onReceive", function(server, fd, reactor_id, data) server:send(fd, greeting .. data) end)
server:start()
--- tcp_send: x
--- tcp_recv: started x

=== an unknown event names the nearest one
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("reqest", function() end)
server:start()
--- must_die
--- error_log
reqest
request
app.lua:2

=== a name that does not exist is an error at start that names the event
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", "handlers.missing")
server:start()
--- must_die
--- files
>>> handlers.lua
return {}
--- error_log
request
handlers.missing

=== something that cannot be called
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", 42)
server:start()
--- must_die
--- error_log
request
got a number
app.lua:

=== a port without the handler it needs
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("connect", function() end)
server:start()
--- must_die
--- error_log
receive
$PORT
