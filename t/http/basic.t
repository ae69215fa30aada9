use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== an answer has its body, its length, a date and the server's name
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("hello\n") end)
server:start()
--- request
GET /
--- response_body
hello
--- response_headers
Content-Length: 6
Connection: close
--- response_headers_like
Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT
Server: luaserv.*
--- raw_response_headers_like eval
qr{\AHTTP/1\.1 200 OK\r\n}
--- no_error_log
[error]
[warn]
--- stats
connections = 0
requests >= 1

=== the request's parts are there
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:write(req.method .. " " .. req.path .. " [" .. tostring(req.query_string) .. "]\n")
	res:write(req.host .. " " .. req.scheme .. " " .. req.remote_addr .. "\n")
	res:write(type(req.fd) .. " " .. type(req.remote_port) .. " " .. type(req.request_time) .. "\n")
	res:write(req.headers["x-one"] .. " " .. req:header("X-ONE") .. " " .. tostring(req:header("x-none")) .. "\n")
	res:finish(req:body())
end)
server:start()
--- request
POST /some/path?a=1&b=2
the body
--- more_headers
Host: example.org:8080
X-One: 1
--- response_body chomp
POST /some/path [a=1&b=2]
example.org:8080 http 127.0.0.1
number number number
1 1 nil
the body

=== an absolute target is taken apart
--- raw_request eval
"GET http://example.org/p?q=1 HTTP/1.1\r\nHost: example.org\r\nX-One: 1\r\nConnection: close\r\n\r\n"
--- response_body_like
^GET /p \[q=1\]
example\.org http

=== OPTIONS * has the path *
--- raw_request eval
"OPTIONS * HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nConnection: close\r\n\r\n"
--- response_body_like
^OPTIONS \* \[\]

=== methods of WebDAV and PATCH arrive
--- raw_request eval
join '', map { "$_ /m HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n" } qw(PATCH PUT DELETE PROPFIND REPORT)
--- response_body_like eval
[map { qr{^$_ /m} } qw(PATCH PUT DELETE PROPFIND REPORT)]

=== a handler that returns without finishing finishes with what was written
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/written" then res:write("some text\n") end
end)
server:start()
--- pipelined_requests eval
["GET /written", "GET /nothing"]
--- response_body eval
["some text\n", ""]

=== a second finish is an error that says so
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:finish("first\n")
	local fine, message = pcall(res.finish, res, "second\n")
	$NOTE
	note(tostring(fine), message)
end)
server:start()
--- pipelined_requests eval
["GET /", "GET /"]
--- response_body eval
["first\n", "first\n"]
--- no_error_log
[error]

=== bodies are binary
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(req:body()) end)
server:start()
--- request eval
"POST /\n" . join '', map { chr } 0 .. 255
--- response_body eval
join '', map { chr } 0 .. 255
