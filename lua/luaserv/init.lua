-- The module luaserv: the C modules under one root, and the little that is easier to say in Lua.
local state = require "luaserv.core.state"

local luaserv = {
	version = state.version,
	role = state.role,
	log = require "luaserv.core.log",
	event = require "luaserv.core.event",
	mode = { process = "process", base = "base", single = "single" },
	websocket_opcode = { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 },
	-- The third result of what fails as expected: Swoole's numbers, and errno's where Swoole has none.
	errors = {
		no_memory = 501,
		system_call = 502,
		params = 505,
		queue_full = 506,
		unsupported = 507,
		wrong_operation = 509,
		empty = 550,
		file_not_found = 700,
		closed_by_server = 1001,
		closed_by_client = 1002,
		closing = 1003,
		closed = 1004,
		no_session = 1005,
		output_buffer_overflow = 1009,
		message_too_large = 1201,
		too_large = 1203,
		malformed = 1204,
		task_not_sent = 2002,
		task_timeout = 2003,
		task_failed = 2004,
		task_worker_died = 2005,
		asker_gone = 2006,
		not_connected = 5001,
		no_websocket = 8503,
		name_not_resolved = 711,
		too_many_coroutines = 10001,
		timeout = 110,
		cancelled = 125,
		channel_closed = 32,
	},
}

for _, name in ipairs { "server", "http", "time", "co", "client", "process", "shared", "signal" } do
	for key, value in pairs(require("luaserv.core." .. name)) do
		luaserv[key] = value
	end
end

require("luaserv.program")(luaserv)
require("luaserv.process_pool")(luaserv)

-- A server whose ports speak HTTP unless they say otherwise.
function luaserv.http(host, port, mode, kind)
	return luaserv.server(host, port, mode, kind):set { protocol = "http" }
end

-- The same with WebSocket: HTTP until a handshake.
function luaserv.websocket(host, port, mode, kind)
	return luaserv.server(host, port, mode, kind):set { protocol = "websocket" }
end

local function check_functions(list)
	if type(list) ~= "table" then
		error(("bad argument #1 to 'luaserv.join' (list of functions expected, got %s)"):format(type(list)), 3)
	end
	for i, fn in ipairs(list) do
		if type(fn) ~= "function" then
			error(("bad argument #1 to 'luaserv.join' (item %d is a %s, not a function)"):format(i, type(fn)), 3)
		end
	end
end

-- Runs the functions side by side and waits for all.  Returns their first results in order and, if some failed, a
-- table of their errors by index; when the time is over, nil, "timeout", code.  Those that still run are cancelled.
function luaserv.join(functions, timeout)
	check_functions(functions)
	local group, results, ids, errors = luaserv.wait_group(#functions), {}, {}, nil
	local function settle(i, ok, value)
		if ok then
			results[i] = value
		else
			errors = errors or {}
			errors[i] = value
		end
		group:done()
	end
	for i, fn in ipairs(functions) do
		local id, message = luaserv.go(function()
			settle(i, pcall(fn))
		end)
		ids[i] = id
		if not id then
			settle(i, false, message)
		end
	end
	local waited, ok, message, code = pcall(group.wait, group, timeout)
	if ok == true then
		return results, errors
	end
	for _, id in pairs(ids) do
		luaserv.cancel(id)
	end
	if not waited then
		error(ok, 0)
	end
	return nil, message, code
end

return luaserv
