-- What tools/bench/sockets.py measures: the same bytes to many connections, by publish and by a loop of send; UDP echo.
local luaserv = require "luaserv"

local port = assert(tonumber(os.getenv "BENCH_PORT"), "BENCH_PORT is not set")
local udp_port = assert(tonumber(os.getenv "BENCH_UDP_PORT"), "BENCH_UDP_PORT is not set")
local server = luaserv.server("127.0.0.1", port, os.getenv "BENCH_MODE")
local udp = server:listen("127.0.0.1", udp_port, "udp")
local members = {}

-- Echo over a unix socket.
local unix = server:listen((assert(os.getenv "BENCH_PATH", "BENCH_PATH is not set")))
unix:set { protocol = "tcp" }
unix:on("receive", function(server, fd, _, data)
	server:send(fd, data)
end)

server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", worker_num = 1 }

server:on("receive", function(server, fd, reactor_id, data)
	local verb, size = data:match("^(%a+) ?(%d*)\n")
	if verb == "join" then
		members[#members + 1] = fd
		server:join(fd, "all")
		server:send(fd, "0\n")
		return
	end
	local bytes = ("x"):rep(tonumber(size) - 1) .. "\n"
	local start = luaserv.now()
	if verb == "publish" then
		assert(server:publish("all", bytes))
	else
		for i = 1, #members do
			assert(server:send(members[i], bytes))
		end
	end
	server:send(fd, (luaserv.now() - start) * 1000 .. "\n")
end)

udp:on("packet", function(server, data, client)
	server:sendto(client.address, client.port, data)
end)

server:start()
