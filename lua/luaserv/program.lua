-- luaserv.process{ "sort", "-n" }: programs that a worker runs, with their standard streams in its hands.
local core = require "luaserv.core.program"

local program = {}
program.__index = program

local STDERR = { log = false, stdout = true }
local OUTPUT_MAX = 8 * 1024 * 1024

local function refuse(...)
	error("luaserv.process: " .. (...):format(select(2, ...)), 0)
end

local START = { cwd = "string", env = "table", stderr = "string", daemon = "boolean", name = "string" }
local EXEC = {
	cwd = "string",
	env = "table",
	stderr = "string",
	input = "string",
	timeout = "number",
	max_output = "number",
}

local function check(opts, kinds)
	for key, value in pairs(opts) do
		if not kinds[key] then
			local names = {}
			for name in pairs(kinds) do
				names[#names + 1] = name
			end
			table.sort(names)
			refuse("there is no option \"%s\"; there are %s", tostring(key), table.concat(names, ", "))
		elseif type(value) ~= kinds[key] then
			refuse("%s is a %s, not a %s", key, kinds[key], type(value))
		end
	end
	if opts.stderr and STDERR[opts.stderr] == nil then
		refuse("stderr is \"%s\"; it can be \"log\" or \"stdout\"", opts.stderr)
	end
end

local function new(argv, opts)
	opts = opts or {}
	return setmetatable({ argv = argv, opts = opts, name = opts.name or tostring(argv[1]) }, program)
end

-- Its pid, or nil, message, code: it runs then.
function program:start()
	if self.handle then
		return nil, ("%s was started already"):format(self.name), 509
	end
	local opts = self.opts
	local handle, stream, code = core.start(self.argv, opts.cwd, opts.env, STDERR[opts.stderr or "log"], opts.daemon)
	if not handle then
		return nil, ("%s cannot be started: %s"):format(self.name, stream), code
	end
	self.handle, self.stream = handle, stream
	self.pid = handle:pid()
	if self.framing then
		stream:set(self.framing)
	end
	return self.pid
end

local function started(self)
	return self.handle or error(("%s was not started: process:start()"):format(self.name), 3)
end

-- How what it writes is cut into messages, as client:set{}.
function program:set(framing)
	self.framing = framing
	if self.stream then
		self.stream:set(framing)
	end
	return self
end

function program:write(data, timeout)
	started(self)
	return self.stream:send(data, timeout)
end

-- What it has written, "" when it will write no more.
function program:read(timeout)
	started(self)
	return self.stream:recv(timeout)
end

-- "write": it reads the end of its input; nothing: its output is not read any more either.
function program:close(which)
	started(self)
	if which == "write" then
		return self.stream:shutdown()
	elseif which then
		error(("process:close: \"%s\" is not \"write\""):format(tostring(which)), 2)
	end
	return self.stream:close()
end

function program:wait(timeout)
	return started(self):wait(timeout)
end

function program:kill(signal)
	return started(self):kill(signal)
end

local function read_all(self, limit, timeout)
	local parts, size = {}, 0
	while true do
		local part, message, code = self:read(timeout)
		if not part then
			return nil, message, code
		elseif part == "" then
			return table.concat(parts)
		end
		parts[#parts + 1], size = part, size + #part
		if size > limit then
			return nil, ("%s wrote more than %d bytes (max_output); it was killed"):format(self.name, limit), 1203
		end
	end
end

return function(luaserv)
	local user_process = luaserv.process

	function luaserv.process(what, opts)
		if type(what) == "table" and not (getmetatable(what) or {}).__call then
			check(opts or {}, START)
			return new(what, opts)
		end
		return user_process(what, opts)
	end

	luaserv.wait = core.wait

	-- Runs a program to its end: { code | signal, pid, output }, or nil, message, code when it cannot be started,
	-- takes longer than `timeout` seconds or writes more than `max_output` bytes; then it is killed.
	function luaserv.exec(argv, opts)
		opts = opts or {}
		check(opts, EXEC)
		local self = new(argv, { cwd = opts.cwd, env = opts.env, stderr = opts.stderr })
		local ok, message, code = self:start()
		if not ok then
			return nil, message, code
		end
		local timer = opts.timeout and luaserv.after(math.max(1, math.ceil(opts.timeout * 1000)), function()
			self.late = true
			self:kill "KILL"
			self:close() -- what it has started may still hold its output
		end)
		luaserv.go(function()
			if opts.input then
				self:write(opts.input)
			end
			self:close "write"
		end)
		local done, output
		done, output, message, code = pcall(read_all, self, opts.max_output or OUTPUT_MAX)
		if not done or not output then
			self:kill "KILL" -- also when who called was cancelled
		end
		if not done then
			error(output, 0)
		end
		local result = self:wait()
		if timer then
			luaserv.clear(timer)
		end
		self:close()
		if self.late then
			return nil, ("%s did not end within %g seconds; it was killed"):format(self.name, opts.timeout), 110
		elseif not output then
			return nil, message, code
		end
		result.output = output
		return result
	end
end
