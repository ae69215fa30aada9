use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== a chunked body is put together
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(req.path .. " " .. req:body() .. "\n") end)
server:start()
--- raw_request eval
"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n"
--- response_body
/a hello, world

=== cut at every byte
--- raw_request eval
[ split //, "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA\r\n, my world\r\n0\r\n\r\n" ]
--- response_body
/a hello, my world

=== extensions and trailers are read and dropped
--- raw_request eval
"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
	. "5;name=value;flag\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
--- response_body eval
["/a hello\n", "/b \n"]

=== sizes may have leading zeros and both cases of hex
--- raw_request eval
"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0000a\r\n0123456789\r\n0B\r\n0123456789x\r\n000\r\n\r\n"
--- response_body
/a 01234567890123456789x

=== an empty chunked body
--- raw_request eval
"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
--- response_body eval
["/a \n", "/b \n"]

=== a chunked body over package_max_length is refused while it comes
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("called\n") end)
server:start()
--- settings
package_max_length = 1000
--- raw_request eval
"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" . "64\r\n" . ("x" x 100) . "\r\n" . "3E8\r\n" . "x" x 500
--- error_code: 413

=== written pieces leave as chunks
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:write("one ")
	res:write("two ")
	res:finish("three\n")
end)
server:start()
--- pipelined_requests eval
["GET /", "GET /"]
--- response_body eval
["one two three\n", "one two three\n"]
--- response_headers
Transfer-Encoding: chunked
!Content-Length
