-- What tools/bench/run.py measures: 13 bytes at /, 64 KiB at /64k, and an echo over TCP on a second port.
local luaserv = require "luaserv"

local http_port = assert(tonumber(os.getenv "BENCH_HTTP_PORT"), "BENCH_HTTP_PORT is not set")
local echo_port = assert(tonumber(os.getenv "BENCH_ECHO_PORT"), "BENCH_ECHO_PORT is not set")
local large = ("0123456789abcdef"):rep(4096)

local server = luaserv.http("127.0.0.1", http_port, os.getenv "BENCH_MODE")

server:on("request", function(req, res)
	res:header("content-type", "text/plain")
	res:finish(req.path == "/64k" and large or "Hello, world!")
end)

local echo = server:listen("127.0.0.1", echo_port, "tcp")

echo:set { protocol = "tcp" }
echo:on("receive", function(server, fd, reactor_id, data)
	server:send(fd, data)
end)

server:start()
