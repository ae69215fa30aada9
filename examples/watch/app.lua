-- Tells every client which files of a folder change: the loop watches an inotify descriptor beside its own.
--
--   PORT=9504 luaserv -s examples/watch/app.lua
--   nc 127.0.0.1 9504          and in another terminal: touch a file in the folder (WATCH, by default the current one)
local ffi = require "ffi"
local luaserv = require "luaserv"

ffi.cdef [[
int inotify_init1(int flags);
int inotify_add_watch(int fd, const char *path, uint32_t mask);
long read(int fd, void *buffer, size_t size);
int close(int fd);
struct inotify_event { int wd; uint32_t mask, cookie, len; char name[]; };
]]

local IN_NONBLOCK, IN_CLOEXEC = 0x800, 0x80000
local IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x8, 0x80, 0x100, 0x200
local folder = os.getenv "WATCH" or "."

local server = luaserv.server(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 9504))
server:set { worker_num = 1, protocol = "eof", open_eof_split = true, package_eof = "\n" }

server:on("connect", function(server, fd)
	server:join(fd, "watchers")
	server:send(fd, "watching " .. folder .. "\n")
end)

server:on("receive", function(server, fd)
	server:close(fd)
end)

-- One event after the other from the buffer of a read.
local function each_name(buffer, size)
	local at = 0
	return function()
		if at >= size then
			return nil
		end
		local event = ffi.cast("struct inotify_event *", buffer + at)
		at = at + ffi.sizeof "struct inotify_event" + event.len
		return event.len > 0 and ffi.string(event.name) or folder
	end
end

server:on("worker_start", function(server)
	local fd = ffi.C.inotify_init1(IN_NONBLOCK + IN_CLOEXEC)
	local mask = IN_CLOSE_WRITE + IN_MOVED_TO + IN_CREATE + IN_DELETE
	if fd < 0 or ffi.C.inotify_add_watch(fd, folder, mask) < 0 then
		error("the folder " .. folder .. " cannot be watched")
	end
	local size = 4096
	local buffer = ffi.new("char[?]", size)
	assert(luaserv.event.add(fd, function()
		local n = tonumber(ffi.C.read(fd, buffer, size))
		for name in each_name(buffer, n) do
			server:publish("watchers", name .. "\n")
		end
	end))
end)

server:start()
