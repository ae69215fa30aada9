-- luaserv.client with a protocol written in Lua, the same module that a port may have: over the functions of the
-- client that know bytes only.  A protocol's own mistakes raise where recv or send was called; a peer that does not
-- keep to it is hung up on.
local time = require "luaserv.core.time"

local ready_made = { tcp = true, eof = true, length = true, http = true }
local LENGTH_MAX = 2 * 1024 * 1024 -- as package_max_length has it

-- client -> what it speaks and what has come of it
local speakers = setmetatable({}, { __mode = "k" })

local function load_module(protocol)
	local module, name = protocol, "of client:set"
	if type(protocol) == "string" then
		module, name = require(protocol), protocol
	end
	if type(module) ~= "table" or type(module.input) ~= "function" then
		error(("client:set: protocol %s is no table with a function input"):format(name), 3)
	end
	return module, name
end

local function is_module(protocol)
	return type(protocol) == "table" or (type(protocol) == "string" and not ready_made[protocol])
end

local function forget(speaker)
	speaker.buffer, speaker.parts, speaker.size = "", {}, 0
	speaker.seen, speaker.need = 0, nil
end

-- All that has come, as one string.
local function gather(speaker)
	if #speaker.parts > 0 then
		speaker.buffer = speaker.buffer .. table.concat(speaker.parts)
		speaker.parts = {}
	end
	return speaker.buffer
end

return function(raw)
	local methods = {}

	function methods.set(client, options)
		local protocol = type(options) == "table" and options.protocol
		local speaker = speakers[client]
		if is_module(protocol) then
			local copy = {}
			for key, value in pairs(options) do
				copy[key] = value
			end
			copy.protocol = "tcp"
			speaker = { limit = LENGTH_MAX }
			speaker.module, speaker.name = load_module(protocol)
			forget(speaker)
			options = copy
		elseif protocol then
			speaker = nil
		end
		raw.set(client, options)
		speakers[client] = speaker
		if speaker then
			speaker.limit = raw.package_max_length(client)
		end
		return client
	end

	local function hang_up(client, speaker, code, reason)
		raw.close(client)
		forget(speaker)
		return nil, ("protocol %s refuses what came: %s"):format(speaker.name, reason), code
	end

	-- The length of the first message; 0: not known yet; nil, code, reason: it is none.
	local function ask(speaker)
		if speaker.need then
			return speaker.need
		end
		local shown = gather(speaker):sub(1, speaker.limit)
		if #shown == speaker.seen and #shown < speaker.limit then
			return 0
		end
		local need, reason = speaker.module.input(shown, speaker.seen)
		if need == nil then
			return nil, 1204, reason or "no reason is given"
		elseif type(need) ~= "number" or need < 0 or (need < 2 ^ 53 and need % 1 ~= 0) then
			error(("input of protocol %s returned %s, which is no length"):format(speaker.name, tostring(need)), 0)
		elseif need > speaker.limit or (need == 0 and #shown >= speaker.limit) then
			return nil, 1201, ("a message is longer than package_max_length (%d)"):format(speaker.limit)
		end
		speaker.seen = #shown
		speaker.need = need > 0 and need or nil
		return need
	end

	local function cut(client, speaker, need)
		local whole = gather(speaker)
		local bytes = whole:sub(1, need)
		forget(speaker)
		speaker.buffer, speaker.size = whole:sub(need + 1), #whole - need
		if not speaker.module.decode then
			return bytes
		end
		local value, reason = speaker.module.decode(bytes)
		if value == nil and reason then
			return hang_up(client, speaker, 1204, reason)
		end
		return value
	end

	local function receive(client, speaker, timeout)
		local deadline = timeout and time.now() + timeout
		while true do
			local need, code, reason = 0, nil, nil
			if speaker.size > 0 then
				need, code, reason = ask(speaker)
			end
			if not need then
				return hang_up(client, speaker, code, reason)
			elseif need > 0 and speaker.size >= need then
				return cut(client, speaker, need)
			end
			local bytes, message, number = raw.recv(client, deadline and math.max(deadline - time.now(), 0))
			if not bytes then
				return nil, message, number
			elseif bytes == "" and speaker.size > 0 then
				return nil, "the connection was closed by the peer within a message", 1002
			elseif bytes == "" then
				return ""
			end
			speaker.parts[#speaker.parts + 1] = bytes
			speaker.size = speaker.size + #bytes
		end
	end

	function methods.recv(client, timeout)
		local speaker = speakers[client]
		if not speaker then
			return raw.recv(client, timeout)
		end
		return receive(client, speaker, timeout)
	end

	function methods.send(client, value, ...)
		local speaker = speakers[client]
		if speaker and speaker.module.encode then
			value = speaker.module.encode(value)
			if type(value) ~= "string" then
				error(("client:send: encode of protocol %s returned a %s, not a string"):format(speaker.name, type(value)), 2)
			end
		end
		return raw.send(client, value, ...)
	end

	-- Another connection begins at its first byte.
	for _, name in ipairs { "connect", "close" } do
		methods[name] = function(client, ...)
			local speaker = speakers[client]
			if speaker then
				forget(speaker)
			end
			return raw[name](client, ...)
		end
	end
	return methods
end
