-- luaserv.process_pool(): workers that are there for messages of one kind.  A pool is a server whose workers have one
-- job, so what holds for servers holds for it: supervision, reload, status.
local co = require "luaserv.core.co"
local state = require "luaserv.core.state"

local HEADER = 4
local LONGEST = 2 * 1024 * 1024

local pool = {}
pool.__index = pool

local function refuse(...)
	error("luaserv.process_pool: " .. (...):format(select(2, ...)), 0)
end

local function frame(data)
	local n = #data
	local function byte(place)
		return math.floor(n / place) % 256
	end
	return string.char(byte(16777216), byte(65536), byte(256), byte(1)) .. data
end

-- Coroutines run side by side: each has the connection whose message it handles.
local answering = setmetatable({}, { __mode = "k" })

local function here()
	return coroutine.running() or answering
end

-- ---- where messages come from -----------------------------------------------------------------------------------

local kinds = {}

function kinds.none(self)
	self.server:set { worker_num = self.size }
	self.role = "worker"
	if self.handlers.message then
		refuse("a message handler has no use without ipc \"socket\" or \"message_queue\"")
	end
end

function kinds.socket(self)
	local message = self.handlers.message or refuse "ipc \"socket\" wants a message handler: pool:on(\"message\", fn)"
	self.role = "worker"
	self.server:set {
		worker_num = self.size,
		protocol = "length",
		open_length_check = true,
		package_length_type = "N",
		package_length_offset = 0,
		package_body_offset = HEADER,
		package_max_length = HEADER + LONGEST,
	}
	self.server:on("receive", function(server, fd, _, data)
		local key = here()
		answering[key] = fd
		local fine, failure = xpcall(message, debug.traceback, self, data:sub(HEADER + 1))
		answering[key] = nil
		server:close(fd)
		if not fine then
			error(failure, 0)
		end
	end)
end

function kinds.message_queue(self)
	local message = self.handlers.message
		or refuse "ipc \"message_queue\" wants a message handler: pool:on(\"message\", fn)"
	self.role = "task"
	self.server:set {
		worker_num = 1,
		task_worker_num = self.size,
		task_ipc_mode = 3,
		message_queue_key = self.key or refuse "ipc \"message_queue\" wants the key of the queue",
	}
	self.server:on("task", function(_, _, _, data)
		message(self, data)
	end)
end

-- ---- the object -------------------------------------------------------------------------------------------------

local events = { worker_start = true, worker_stop = true, message = true }

function pool:on(event, handler)
	if not events[event] then
		refuse("there is no event \"%s\"; there are worker_start, worker_stop and message", tostring(event))
	end
	self.handlers[event] = handler
	return self
end

-- Settings of the server beneath.
function pool:set(settings)
	self.settings = settings
	return self
end

-- Where messages come in, with ipc "socket": an address and a port, or "unix:/path".
function pool:listen(host, port)
	self.host, self.port = host, port
	return self
end

-- Answers the message that is being handled; the connection is closed when its handler ends.
function pool:write(data)
	local fd = answering[here()]
	if not fd then
		error("pool:write answers a message of a socket, in its handler", 2)
	end
	return self.server:send(fd, frame(data))
end

local function tell(self, event, run)
	local handler = self.handlers[event]
	if not handler then
		return
	end
	self.server:on(event, function(server, worker_id)
		if state.role == self.role then
			run(handler, self, self.role == "task" and worker_id - server.setting.worker_num or worker_id)
		end
	end)
end

function pool:start()
	if (self.ipc == "socket") ~= (self.host ~= nil) then
		refuse("pool:listen belongs to ipc \"socket\", and ipc \"socket\" wants it")
	end
	self.server = self.new_server(self.host or "none", self.port)
	kinds[self.ipc](self)
	if self.settings then
		self.server:set(self.settings)
	end
	-- It may go on for as long as it likes; the worker is there meanwhile.
	tell(self, "worker_start", co.go)
	tell(self, "worker_stop", function(handler, ...)
		handler(...)
	end)
	return self.server:start()
end

return function(luaserv)
	-- A pool of n workers; ipc is "none", "socket" or "message_queue" (then `key` is the queue's).
	function luaserv.process_pool(n, ipc, key)
		if type(n) ~= "number" or n < 1 or n ~= math.floor(n) then
			refuse("the number of workers is %s; it must be 1 or more", tostring(n))
		elseif not kinds[ipc or "none"] then
			refuse("ipc is \"%s\"; it can be \"none\", \"socket\" or \"message_queue\"", tostring(ipc))
		end
		return setmetatable({
			size = n,
			ipc = ipc or "none",
			key = key,
			handlers = {},
			new_server = luaserv.server,
		}, pool)
	end
end
