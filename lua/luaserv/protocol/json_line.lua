-- One JSON value in a line.  Needs lua-cjson; JSON's null is its cjson.null.
local text = require "luaserv.protocol.text"
local json = require("cjson").new()

local json_line = { input = text.input }

function json_line.decode(line)
	local fine, value = pcall(json.decode, line)
	if not fine then
		return nil, "the line is no JSON: " .. tostring(value)
	end
	return value
end

function json_line.encode(value)
	return json.encode(value) .. "\n"
end

return json_line
