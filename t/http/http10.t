use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== HTTP/1.0 closes by default and needs no Host
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/write" then
		res:write("one ")
		res:write("two\n")
		return
	end
	res:finish("hello\n")
end)
server:start()
--- raw_request eval
"GET / HTTP/1.0\r\n\r\n"
--- response_body
hello
--- response_headers
Content-Length: 6

=== keep-alive is granted when asked for
--- raw_request eval
"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"
--- response_body eval
["hello\n", "hello\n"]
--- response_headers_like
Connection: [Kk]eep-[Aa]live

=== an answer in pieces ends with the connection, not with chunks
--- raw_request eval
"GET /write HTTP/1.0\r\n\r\n"
--- response_body
one two
--- response_headers
!Transfer-Encoding

=== even when keep-alive was asked for
--- raw_request eval
"GET /write HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
--- response_body
one two
--- response_headers
!Transfer-Encoding
