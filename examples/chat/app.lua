-- A chat over TCP: rooms are groups, so that what is said travels once to each reactor and from there to everybody.
--
--   PORT=9503 luaserv -s examples/chat/app.lua
--   nc 127.0.0.1 9503          then: /name ann, /join kitchen, or just talk
local luaserv = require "luaserv"

local server = luaserv.server(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 9503))
local people = {} -- this worker's: fd -> { name, room }

server:set {
	protocol = "luaserv.protocol.text", -- lines
	package_max_length = 1024,
	heartbeat_idle_time = "10m",
	message_rate = 10,
	message_burst = 50,
}

local function say(room, text, except)
	server:publish(room, text .. "\n", nil, except)
end

local function move(fd, person, room)
	say(person.room, person.name .. " leaves", fd)
	server:leave(fd, person.room)
	person.room = room
	server:join(fd, room)
	say(room, person.name .. " comes", fd)
	server:send(fd, "You are in " .. room .. ".")
end

local commands = {}

function commands.name(_, person, name)
	say(person.room, person.name .. " is now " .. name)
	person.name = name
end

function commands.join(fd, person, room)
	move(fd, person, room)
end

function commands.quit(fd)
	server:send(fd, "Bye.")
	server:close(fd)
end

server:on("connect", function(server, fd)
	people[fd] = { name = "guest " .. fd % 1000, room = "lobby" }
	server:join(fd, "lobby")
	server:send(fd, "Hello, " .. people[fd].name .. ". /name NAME, /join ROOM, /quit, or talk.")
end)

server:on("receive", function(server, fd, _, line)
	-- After a reload this worker has not seen the connection begin.
	local person = people[fd] or { name = "guest " .. fd % 1000, room = "lobby" }
	people[fd] = person
	local verb, rest = line:match "^/(%a+) ?(%w*)"
	if not verb then
		say(person.room, person.name .. ": " .. line, fd)
	elseif commands[verb] and (rest ~= "" or verb == "quit") then
		commands[verb](fd, person, rest)
	else
		server:send(fd, "/name NAME, /join ROOM, /quit")
	end
end)

server:on("close", function(_, fd)
	local person = people[fd]
	people[fd] = nil
	if person then
		say(person.room, person.name .. " has gone")
	end
end)

server:start()
