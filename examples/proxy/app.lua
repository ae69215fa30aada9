-- A TCP proxy: every connection gets one of its own to UPSTREAM ("host:port"), and bytes go both ways.
-- UPSTREAM=127.0.0.1:8080 luaserv -s examples/proxy/app.lua, then: curl http://127.0.0.1:9503/
local luaserv = require "luaserv"

local host, port = (os.getenv "UPSTREAM" or "127.0.0.1:8080"):match "^(.+):(%d+)$"
local server = luaserv.server(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT") or 9503)

local upstreams = {} -- by fd

-- From the upstream to the connection, until either ends.  A side that does not take what comes holds the other one
-- back: send waits, and meanwhile nothing more is received.
local function pump(upstream, fd)
	luaserv.defer(function()
		upstream:close()
		server:close(fd)
	end)
	repeat
		local data, message = upstream:recv(-1)
		if not data and upstreams[fd] then
			luaserv.log.warn("the upstream of " .. fd .. " failed: " .. message)
		end
	until not data or data == "" or not server:send(fd, data)
end

server:on("connect", function(server, fd)
	local upstream = luaserv.client "tcp"
	local connected, message = upstream:connect(host, tonumber(port), 5)
	if not connected then
		luaserv.log.warn(message)
		server:close(fd)
		return
	end
	upstreams[fd] = upstream
	luaserv.go(pump, upstream, fd)
end)

-- Events of one connection come one after the other: connect is over by now, and a send that waits keeps the connection
-- from being read on.  There is no upstream where connecting failed, or when the connection is older than this worker.
server:on("receive", function(server, fd, reactor_id, data)
	local upstream = upstreams[fd]
	if not (upstream and upstream:send(data)) then
		server:close(fd)
	end
end)

server:on("close", function(server, fd)
	local upstream = upstreams[fd]
	upstreams[fd] = nil
	if upstream then
		upstream:close()
	end
end)

server:start()
