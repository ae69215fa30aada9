-- A chat in the browser: one WebSocket for each page, rooms are groups. What is said is framed once, whoever listens.
--
--   PORT=8081 luaserv -s examples/chat-web/app.lua       then open http://127.0.0.1:8081/ in two windows
local luaserv = require "luaserv"
local page = require "page"

local server = luaserv.websocket(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 8081))
local people = {} -- this worker's: fd -> { name, room }

server:set {
	package_max_length = "64k",
	message_rate = 20,
	message_burst = 50,
	websocket_ping_interval = "30s",
	websocket_compression = true,
}

-- Both are from outside: tabs separate the fields of a line, so there are none in them.
local function clean(text, most)
	return (text:gsub("%c", " "):sub(1, most))
end

local function say(person, kind, text)
	server:publish(person.room, ("%s\t%s\t%s"):format(kind, person.name, text))
end

server:on("request", function(req, res)
	if req.path == "/" then
		res:header("content-type", "text/html; charset=utf-8"):finish(page)
	else
		res:status(404):finish("There is no such page.\n")
	end
end)

server:on("open", function(_, req)
	local person = { name = clean(req.query.name or "guest", 40), room = clean(req.query.room or "hall", 40) }

	people[req.fd] = person
	server:join(req.fd, person.room)
	say(person, "comes", "")
end)

server:on("message", function(_, frame)
	local person = people[frame.fd]

	if person then
		say(person, "says", clean(frame.data, 4000))
	else
		server:disconnect(frame.fd, 1012, "say hello again") -- its worker has been replaced, with all it knew
	end
end)

server:on("close", function(_, fd)
	local person = people[fd]

	people[fd] = nil
	if person then
		say(person, "leaves", "")
	end
end)

server:start()
