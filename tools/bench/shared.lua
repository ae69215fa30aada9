-- What tools/bench/shared.py measures: tables and dicts as a script uses them.
local luaserv = require "luaserv"

local port = assert(tonumber(os.getenv "BENCH_PORT"), "BENCH_PORT is not set")
local rows = luaserv.table("rows", 65536, { count = "int", rate = "float", name = "string(32)" })
local small = luaserv.dict("small", "16m")
local large = luaserv.dict("large", "256m")
local server = luaserv.server("127.0.0.1", port, "base")

server:set {
	protocol = "eof",
	open_eof_split = true,
	package_eof = "\n",
	worker_num = 2,
	max_execution_time = 0,
	log_level = "warn",
}

local keys = {}
for i = 1, 1000 do
	keys[i] = "key" .. i
end

-- Each repeats its operation so many times.
local operations = {
	["table:get(key, column), a number"] = function(n)
		for i = 1, n do
			rows:get(keys[i % 1000 + 1], "count")
		end
	end,
	["table:get(key, column), a string"] = function(n)
		for i = 1, n do
			rows:get(keys[i % 1000 + 1], "name")
		end
	end,
	["table:get(key), all columns"] = function(n)
		for i = 1, n do
			rows:get(keys[i % 1000 + 1])
		end
	end,
	["table:incr"] = function(n)
		for i = 1, n do
			rows:incr(keys[i % 1000 + 1], "count")
		end
	end,
	["dict:get, a number"] = function(n)
		for i = 1, n do
			small:get(keys[i % 500 * 2 + 1])
		end
	end,
	["dict:get, a string"] = function(n)
		for i = 1, n do
			small:get(keys[i % 500 * 2 + 2])
		end
	end,
	["dict:set, a number"] = function(n)
		for i = 1, n do
			small:set(keys[i % 500 * 2 + 1], i)
		end
	end,
	["dict:incr"] = function(n)
		for i = 1, n do
			small:incr(keys[i % 500 * 2 + 1], 1)
		end
	end,
}

server:on("worker_start", function()
	for i = 1, 1000 do
		rows:set(keys[i], { count = i, rate = i / 2, name = "the name of " .. i })
		small:set(keys[i], i % 2 == 1 and i or "the value of " .. i)
	end
end)

-- A million keys whose values may take more than the memory: the slowest call in microseconds.
local function fill(count, size)
	local value, slowest, over = ("v"):rep(size), 0, 0
	local start = luaserv.now()
	for i = 1, count do
		local key, before = "key" .. i, luaserv.now()
		assert(large:set(key, value))
		local took = (luaserv.now() - before) * 1e6
		slowest = math.max(slowest, took)
		over = over + (took > 1000 and 1 or 0)
	end
	local seconds = luaserv.now() - start
	local stats = large:stats()
	local format = "%.3f %.0f %d %d %d %d %d"
	return format:format(seconds, slowest, over, stats.count, stats.evicted, stats.capacity, stats.free)
end

server:on("receive", function(server, fd, reactor_id, data)
	local what, count, size = data:match("^(.-)|(%d+)|?(%d*)\n$")
	if what == "fill" then
		return server:send(fd, fill(tonumber(count), tonumber(size)) .. "\n")
	end
	local start = luaserv.now()
	operations[what](tonumber(count))
	server:send(fd, ("%.6f\n"):format(luaserv.now() - start))
end)
server:start()
