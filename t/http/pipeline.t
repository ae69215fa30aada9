use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== answers leave in the order of the requests, however long each takes
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	luaserv.sleep(tonumber(req.path:match("%d+")) / 1000)
	res:finish(req.path .. "\n")
end)
server:start()
--- pipelined_requests eval
["GET /100", "GET /1", "GET /50", "GET /2"]
--- response_body eval
["/100\n", "/1\n", "/50\n", "/2\n"]

=== the same over several workers
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	luaserv.sleep(tonumber(req.path:match("%d+")) / 1000)
	res:finish(req.path .. "\n")
end)
server:start()
--- settings
worker_num = 3
dispatch_mode = "round"
--- pipelined_requests eval
["GET /100", "GET /1", "GET /50", "GET /2", "GET /0"]
--- response_body eval
["/100\n", "/1\n", "/50\n", "/2\n", "/0\n"]

=== a body is followed by the next request
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(req.method .. " " .. req.path .. " " .. req:body() .. "\n") end)
server:start()
--- pipelined_requests eval
["POST /a\nhi", "GET /b", "PUT /c\n" . "x" x 100, "GET /d"]
--- response_body eval
["POST /a hi\n", "GET /b \n", "PUT /c " . "x" x 100 . "\n", "GET /d \n"]

=== a request behind an unsafe one waits until that is answered
--- app
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local order = {}
server:on("request", function(req, res)
	order[#order + 1] = "begin " .. req.path
	if req.method == "POST" then luaserv.sleep(0.05) end
	order[#order + 1] = "end " .. req.path
	res:finish(req.path == "/order" and table.concat(order, ", ") .. "\n" or "ok\n")
end)
server:start()
--- pipelined_requests eval
["POST /post\nx", "GET /order"]
--- response_body eval
["ok\n", "begin /post, end /post, begin /order, end /order\n"]

=== more requests than http_pipeline_max are answered all the same
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(req.path .. "\n") end)
server:start()
--- settings
http_pipeline_max = 4
--- pipelined_requests eval
[map { "GET /$_" } 1 .. 300]
--- response_body eval
[map { "/$_\n" } 1 .. 300]

=== requests cut at every byte
--- raw_request eval
[ split //, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n" ]
--- response_body eval
["/1\n", "/2\n"]

=== an error in the middle is answered behind the answers that are due
--- raw_request eval
"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nNONSENSE\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
--- error_code eval
[200, 200, 400]
