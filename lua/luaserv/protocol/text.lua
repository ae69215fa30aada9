-- Lines: a message ends with a line feed; a carriage return in front of it is no part of it.
local text = {}

-- `seen` bytes of the buffer have been searched before.
function text.input(buffer, seen)
	return buffer:find("\n", (seen or 0) + 1, true) or 0
end

function text.decode(line)
	return line:sub(1, line:byte(-2) == 13 and -3 or -2)
end

function text.encode(line)
	return line .. "\n"
end

return text
