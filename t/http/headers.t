use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== names are lower-case, repeated fields are joined
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local names = {}
	for name in pairs(req.headers) do names[#names + 1] = name end
	table.sort(names)
	for _, name in ipairs(names) do res:write(name .. "=" .. req.headers[name] .. "\n") end
end)
server:start()
--- request
GET /
--- more_headers
Host: h
X-Mixed-CASE: Value
Accept: a
accept: b
ACCEPT: c
--- response_body
accept=a, b, c
connection=close
host=h
x-mixed-case=Value

=== a header set twice is replaced, a list is sent as lines
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:header("X-One", "1")
	res:header("x-one", "2")
	res:header("Set-Cookie", { "a=1", "b=2" })
	res:header("Content-Type", "application/x-test")
	res:header("X-Number", 42)
	res:finish("ok\n")
end)
server:start()
--- request
GET /
--- response_headers
X-One: 2
Set-Cookie: a=1, b=2
Content-Type: application/x-test
X-Number: 42
--- raw_response_headers_like eval
qr/Set-Cookie: a=1\r\n(?:.*\r\n)*?Set-Cookie: b=2\r\n/i

=== the app's Date and Server win; the framing is the server's
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:header("Date", "yesterday")
	res:header("Server", "mine")
	res:header("Content-Length", "999")
	res:header("Transfer-Encoding", "chunked")
	res:finish("body\n")
end)
server:start()
--- pipelined_requests eval
["GET /", "GET /"]
--- response_body eval
["body\n", "body\n"]
--- response_headers
Date: yesterday
Server: mine
Content-Length: 5
!Transfer-Encoding

=== no Server header when it is switched off
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:set { http_server_header = false }
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
--- request
GET /
--- response_headers
!Server

=== headers after the head has left are an error
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:write("begun ")
	res:finish(tostring((pcall(res.header, res, "X-Late", "1"))) .. "\n")
end)
server:start()
--- request
GET /
--- response_body
begun false
--- response_headers
!X-Late
