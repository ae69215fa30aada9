-- A line echo over TCP: each line comes back in capitals; "quit" closes the connection.
-- luaserv -s examples/echo/app.lua, then: nc 127.0.0.1 9501
local luaserv = require "luaserv"

local server = luaserv.server(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT") or 9501)

-- With protocol "eof" a message is whatever ends with package_eof, however the network cut it into pieces.
server:set { protocol = "eof", package_eof = "\n", package_max_length = "64k" }

server:on("connect", function(server, fd)
	server:send(fd, "Say something.\n")
end)

server:on("receive", function(server, fd, reactor_id, line)
	if line:match "^quit%s*$" then
		server:close(fd)
		return
	end
	-- nil, message, code when the peer has gone meanwhile: nothing to do then.
	server:send(fd, line:upper())
end)

server:start()
