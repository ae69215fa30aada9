use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== HEAD has GET's length and no body, and the next answer follows at once
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/write" then
		res:write("some ")
		return res:finish("text\n")
	end
	res:finish(req.method .. " hello\n")
end)
server:start()
--- pipelined_requests eval
["HEAD /", "GET /", "HEAD /", "GET /"]
--- response_body eval
["", "GET hello\n", "", "GET hello\n"]
--- response_headers
Content-Length: 11

=== HEAD of an answer that is written in pieces
--- pipelined_requests eval
["HEAD /write", "GET /write", "HEAD /write", "GET /"]
--- response_body eval
["", "some text\n", "", "GET hello\n"]

=== HEAD in HTTP/1.0
--- request
HEAD / HTTP/1.0
--- response_body
--- response_headers
Content-Length: 11
