-- A pool of workers that turn words around, for clients that send 4 bytes of length and then the word.
--
--   PORT=9509 luaserv -s examples/pool/app.lua
--   printf '\0\0\0\5hello' | nc -N 127.0.0.1 9509
local luaserv = require "luaserv"

local pool = luaserv.process_pool(2, "socket")

pool:listen(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 9509))
pool:on("message", function(_, word)
	pool:write(word:reverse())
end)
pool:start()
