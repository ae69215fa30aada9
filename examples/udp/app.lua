-- A clock over UDP: every datagram is answered with the time, and with what it said.
-- luaserv -s examples/udp/app.lua, then: echo hello | nc -u -w1 127.0.0.1 9502
local luaserv = require "luaserv"

local server = luaserv.server(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT") or 9502, nil, "udp")

server:on("packet", function(server, data, client)
	local answer = os.date "!%Y-%m-%dT%H:%M:%SZ " .. data
	-- The answer leaves from the socket that the question came to.
	server:sendto(client.address, client.port, answer, client.server_socket)
end)

server:start()
