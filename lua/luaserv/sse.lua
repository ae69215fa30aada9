-- luaserv.sse: server-sent events (HTML Living Standard §9.2), over a response that stays open.
local luaserv = require "luaserv"

local sse = {}
local stream = {}
stream.__index = stream

-- A field of one line: what would end it would let its sender write fields of their own.
local function check_line(what, value)
	value = tostring(value)
	if value:find("[\r\n%z]") then
		error(("sse: %s has a line end or NUL in it"):format(what), 3)
	end
	return value
end

-- sse.open(req, res, { retry = ms, heartbeat = seconds }) → stream.  The head leaves at once.  `retry`: how long the
-- client waits before it connects again; `heartbeat`: a comment is sent so often, so that proxies keep the connection
-- and a client that has gone is noticed.
function sse.open(req, res, options)
	options = options or {}
	res:header("content-type", "text/event-stream; charset=utf-8")
	res:header("cache-control", "no-store")
	res:header("x-accel-buffering", "no")
	local self = setmetatable({ res = res, last_event_id = req:header "last-event-id" }, stream)
	local ok, message, code = res:write(options.retry and ("retry: %d\n\n"):format(options.retry) or ":\n\n")
	if not ok then
		return nil, message, code
	end
	if options.heartbeat then
		self.timer = luaserv.tick(options.heartbeat * 1000, function()
			self:comment ""
		end)
	end
	return self
end

local function write(self, text)
	if self.closed then
		return nil, "the stream is closed", luaserv.errors.closed
	end
	local alive, ok, message, code = pcall(self.res.write, self.res, text)
	if not alive then
		ok, message, code = nil, "the stream is closed", luaserv.errors.closed -- its handler has returned
	end
	if not ok then
		self:stop()
	end
	return ok, message, code
end

-- stream:send(data) or stream:send{ data =, event =, id =, retry = } → true | nil, message, code.  Waits while the
-- client is slow.
function stream:send(message)
	if type(message) ~= "table" then
		message = { data = message }
	end
	local lines = {}
	if message.event then
		lines[#lines + 1] = "event: " .. check_line("event", message.event)
	end
	if message.id then
		lines[#lines + 1] = "id: " .. check_line("id", message.id)
	end
	if message.retry then
		lines[#lines + 1] = ("retry: %d"):format(message.retry)
	end
	if message.data ~= nil then
		for line in (tostring(message.data):gsub("\r\n?", "\n") .. "\n"):gmatch "(.-)\n" do
			lines[#lines + 1] = "data: " .. line
		end
	end
	return write(self, table.concat(lines, "\n") .. "\n\n")
end

-- A line that clients ignore.
function stream:comment(text)
	return write(self, ": " .. check_line("comment", text or "") .. "\n\n")
end

function stream:stop()
	self.closed = true
	if self.timer then
		luaserv.clear(self.timer)
		self.timer = nil
	end
end

-- Ends the answer; the client will connect again after a while, unless it is told not to by a 204.
function stream:close()
	if not self.closed then
		self:stop()
		return self.res:finish()
	end
	return true
end

return sse
