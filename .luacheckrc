-- luacheck: LuaJIT's globals and nothing else.
std = "luajit"
max_line_length = 120
unused_args = false
-- A handler's first argument is the server; that it has the same name as the script's local is the custom.
ignore = { "43[12]/server" }
-- The library replaces coroutine.resume and coroutine.wrap, and may fill package.loaded and package.preload.
files["lua/luaserv/co.lua"] = { globals = { "coroutine" } }
-- Annotations for editors declare what the library has elsewhere.
files["lua/luaserv/meta/"] = { ignore = { ".*" } }
