-- Frames: four bytes, big-endian, hold the length of the whole frame, themselves included; the rest is the message.
local frame = {}

local header, longest = 4, 0xffffffff

function frame.input(buffer)
	if #buffer < header then
		return 0
	end
	local a, b, c, d = buffer:byte(1, header)
	local length = ((a * 256 + b) * 256 + c) * 256 + d
	if length < header then
		return nil, ("a frame of %d bytes has no room for its own length"):format(length)
	end
	return length
end

function frame.decode(bytes)
	return bytes:sub(header + 1)
end

function frame.encode(body)
	local length = header + #body
	if length > longest then
		error("a frame holds less than 4 GiB", 2)
	end
	local function byte(place)
		return math.floor(length / place) % 256
	end
	return string.char(byte(0x1000000), byte(0x10000), byte(0x100), byte(1)) .. body
end

return frame
