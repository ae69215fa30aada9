-- The smallest HTTP server: luaserv -s examples/hello/app.lua
-- HOST and PORT say where it listens; the default is http://127.0.0.1:8080/.
local luaserv = require "luaserv"

local server = luaserv.http(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT") or 8080)

server:on("request", function(req, res)
	res:header("content-type", "text/plain")
	res:finish("Hello from luaserv: " .. req.method .. " " .. req.path .. "\n")
end)

server:start()
