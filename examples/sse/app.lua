-- Server-sent events: a clock, and whatever is posted, to every page that is open.
--
--   PORT=8082 luaserv -s examples/sse/app.lua
--   curl -N http://127.0.0.1:8082/events        then: curl -d hello http://127.0.0.1:8082/
local luaserv = require "luaserv"
local sse = require "luaserv.sse"

local server = luaserv.http(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 8082))
local streams = {} -- those of this worker
local said = luaserv.atomic "said"

local function tell(message)
	for stream in pairs(streams) do
		if not stream:send(message) then
			streams[stream] = nil
		end
	end
end

server:on("request", function(req, res)
	if req.path == "/events" then
		local stream = sse.open(req, res, { retry = 2000, heartbeat = 15 })
		if stream then
			res:detach() -- it stays open when the handler has returned
			streams[stream] = true
			stream:send { event = "hello", data = "last seen: " .. (stream.last_event_id or "nothing") }
		end
	elseif req.method == "POST" then
		local message = { event = "said", id = said:add(1), data = req:body() }
		for id = 0, tonumber(server.setting.worker_num) - 1 do
			if id ~= server.worker_id then
				server:send_message(message, id)
			end
		end
		tell(message)
		res:finish "told\n"
	else
		res:finish [[<!doctype html><title>Events</title><ul id="log"></ul><script>
			const item = text => Object.assign(document.createElement("li"), { textContent: text })
			const show = event => document.getElementById("log").append(item(event.data))
			const events = new EventSource("/events")
			for (const kind of ["hello", "said"]) events.addEventListener(kind, show)
		</script>]]
	end
end)

server:on("pipe_message", function(_, _, message)
	tell(message)
end)

-- The worker is asked to leave: pages come again by themselves, to its successor.
server:on("worker_exit", function()
	for stream in pairs(streams) do
		stream:close()
	end
end)

server:start()
