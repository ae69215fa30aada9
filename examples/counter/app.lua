-- Counts visits by page in a table, remembers greetings in a dict, and says how many requests there were: whichever
-- worker answers, and through reloads.
--
--   PORT=9510 luaserv -s examples/counter/app.lua
--   curl http://127.0.0.1:9510/some/page
--   curl http://127.0.0.1:9510/            all pages
local luaserv = require "luaserv"

local pages = luaserv.table("pages", 1000, { visits = "int" })
local greetings = luaserv.dict("greetings", "1m")
local requests = luaserv.atomic("requests")

local server = luaserv.http(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 9510))

local function greeting(page)
	local text = greetings:get(page)
	if not text then
		text = "welcome to " .. page
		greetings:set(page, text, 60) -- for a minute
	end
	return text
end

server:on("request", function(req, res)
	requests:add()
	if req.path ~= "/" then
		local visits, message = pages:incr(req.path:sub(1, 64), "visits")
		return res:finish(greeting(req.path) .. ", " .. (visits and "visit " .. visits or message) .. "\n")
	end
	local lines = { requests:get() .. " requests" }
	for page, row in pages:each() do
		lines[#lines + 1] = page .. " " .. row.visits
	end
	table.sort(lines)
	res:finish(table.concat(lines, "\n") .. "\n")
end)
server:start()
