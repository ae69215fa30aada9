-- What tools/bench/tasks.py measures: tasks from one worker to one task worker, and messages between two workers.
local luaserv = require "luaserv"

local port = assert(tonumber(os.getenv "BENCH_PORT"), "BENCH_PORT is not set")
local server = luaserv.server("127.0.0.1", port, os.getenv "BENCH_MODE")

server:set {
	protocol = "eof",
	open_eof_split = true,
	package_eof = "\n",
	worker_num = 2,
	task_worker_num = 1,
	reactor_num = 1,
	dispatch_mode = "fixed",
}

local measures, ended = {}, nil

-- count tasks with 64 under way
function measures.tasks(count, size, letter)
	local data, given, got = (letter or "x"):rep(size), 0, 0
	local done = luaserv.channel(1)
	local function give()
		given = given + 1
		assert(server:task(data))
	end
	ended = function()
		got = got + 1
		if given < count then
			give()
		elseif got == count then
			done:push(true)
		end
	end
	for _ = 1, math.min(64, count) do
		give()
	end
	done:pop()
end

-- The same, with a result of two bytes.
function measures.one_way(count, size)
	return measures.tasks(count, size, "s")
end

function measures.task_wait(count, size)
	local data = ("x"):rep(size)
	for _ = 1, count do
		assert(server:task_wait(data, 5))
	end
end

local received, expected, all_there = 0, nil, nil

-- one way, to the other worker, which answers when it has them all
function measures.messages(count, size)
	local data, other = ("x"):rep(size), 1 - server.worker_id
	all_there = luaserv.channel(1)
	assert(server:send_message({ count = count }, other))
	for _ = 1, count do
		assert(server:send_message(data, other))
	end
	all_there:pop()
end

server:on("receive", function(server, fd, _, line)
	local what, count, size = line:match("^(%S+) (%d+) (%d+)\n")
	local start = luaserv.now()
	measures[what](tonumber(count), tonumber(size))
	server:send(fd, luaserv.now() - start .. "\n")
end)

server:on("task", function(_, _, _, data)
	return data:byte() == 115 and "ok" or data -- "s": a short result is asked for
end)

server:on("finish", function()
	ended()
end)

server:on("pipe_message", function(server, from, data)
	if type(data) == "table" and data.count then
		received, expected = 0, data.count
	elseif type(data) == "table" then
		all_there:push(true)
	else
		received = received + 1
		if received == expected then
			server:send_message({ all = true }, from)
		end
	end
end)

server:start()
