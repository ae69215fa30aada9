---@meta

---A protocol written in Lua, as `protocol` of a port takes it; see docs/guide/protocols.md.
---@class luaserv.protocol
local protocol = {}

---How long is the message that the buffer begins with?  `seen` bytes of it were looked at before, and did not do.
---@param buffer string
---@param seen integer
---@return integer? length # of the whole message; 0: more is needed; nil: the connection is closed
---@return string? reason
function protocol.input(buffer, seen) end

---What `receive` gets.  Optional: the bytes.
---@param bytes string
---@return any value # nil with a reason: the connection is closed
---@return string? reason
function protocol.decode(bytes) end

---What `server:send` sends.  Optional: the value must be a string.
---@param value any
---@return string bytes
function protocol.encode(value) end

return protocol
