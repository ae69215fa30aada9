use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== an error in the handler is answered 500 and logged once, with its traceback
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
local function deep(x) return x.y.z end
server:on("request", function(req, res)
	if req.path == "/fine" then return res:finish("fine\n") end
	deep({})
	res:finish("not reached\n")
end)
server:start()
--- request
GET /broken?q=1
--- error_code: 500
--- grep_error_log eval
qr/app\.lua:2: attempt to index field 'y'/
--- grep_error_log_out
app.lua:2: attempt to index field 'y'
--- error_log
[error]
stack traceback
/broken

=== the worker serves on
--- request
GET /fine
--- response_body
fine
--- no_error_log
[error]

=== error objects of any type
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/nil" then error(nil) end
	if req.path == "/table" then error({ code = 1 }) end
	if req.path == "/object" then error(setmetatable({}, { __tostring = function() return "I am an object" end })) end
	if req.path == "/evil" then error(setmetatable({}, { __tostring = function() error("again") end })) end
end)
server:start()
--- pipelined_requests eval
["GET /nil", "GET /table", "GET /object", "GET /evil", "GET /fine"]
--- error_code eval
[500, 500, 500, 500, 200]
--- error_log
I am an object

=== misuse names the function and what was expected
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
local function try(res, fn, ...)
	local fine, message = pcall(fn, ...)
	res:write(tostring(fine) .. " " .. tostring(message):gsub("^.-:%d+: ", "") .. "\n")
end
server:on("request", function(req, res)
	try(res, res.header, res, "A", "x\r\nB: y")
	try(res, res.header, res, "A", "x\0")
	try(res, res.header, res, "A B", "x")
	try(res, res.status, res, 99)
	try(res, res.status, res, "many")
	try(res, res.write, res, {})
end)
server:start()
--- request
GET /
--- response_body_like eval
qr/\A(false \S.*\n){6}\z/

=== an error after the head has left cuts the answer so that the client notices
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:write("begun\n")
	luaserv.sleep(0.02)
	error("in the middle")
end)
server:start()
--- request
GET /
--- ignore_response
--- error_log
in the middle

=== stack overflow and memory hunger of one request do not end the worker
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
local function recurse(x) return 1 + recurse(x) end
server:on("request", function(req, res)
	if req.path == "/recurse" then recurse(1) end
	if req.path == "/concat" then local s = "x" for i = 1, 100 do s = s .. s end end
	res:finish("fine\n")
end)
server:start()
--- settings
lua_memory_limit = "64m"
--- pipelined_requests eval
["GET /recurse", "GET /fine", "GET /concat", "GET /fine"]
--- error_code eval
[500, 200, 500, 200]
--- error_log
stack overflow
