# luaserv.event: descriptors of the app in the worker's loop.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

# A pipe, by FFI, and what it is good for.
my $pipe = <<'LUA';
local ffi = require "ffi"
ffi.cdef [[
int pipe2(int fds[2], int flags);
long read(int fd, void *buffer, size_t size);
long write(int fd, const void *buffer, size_t size);
int close(int fd);
int open(const char *path, int flags, ...);
int eventfd(unsigned int initval, int flags);
]]
local function pipe()
	local fds = ffi.new("int[2]")
	assert(ffi.C.pipe2(fds, 0x80800) == 0)
	return fds[0], fds[1]
end
local buffer = ffi.new("char[65536]")
local function read(fd)
	local n = tonumber(ffi.C.read(fd, buffer, 65536))
	return n > 0 and ffi.string(buffer, n) or n
end
local function write(fd, text) return tonumber(ffi.C.write(fd, text, #text)) end
LUA

my @cases = (
	'what is written is read, once per readiness' => <<'LUA', 'got one;got two;the end',
	local from, to = pipe()
	local box, calls = luaserv.channel(10), 0
	assert(event.add(from, function(fd) calls = calls + 1 box:push("got " .. read(fd)) end))
	write(to, "one")
	local first = box:pop()
	write(to, "two")
	local second = box:pop()
	ffi.C.close(to)
	repeat luaserv.sleep(0.001) until calls >= 3
	event.del(from)
	ffi.C.close(from)
	return first .. ";" .. second .. ";the end"
LUA
	'a callback that waits is not called again meanwhile, and no turn of the loop is wasted' => <<'LUA', '1 1 true',
	local from, to = pipe()
	local running, most, calls = 0, 0, 0
	event.add(from, function(fd)
		running, calls = running + 1, calls + 1
		most = math.max(most, running)
		luaserv.sleep(0.05)
		read(fd)
		running = running - 1
	end)
	write(to, "x")
	local cpu = os.clock()
	luaserv.sleep(0.1)
	cpu = os.clock() - cpu
	event.del(from)
	return most .. " " .. calls .. " " .. tostring(cpu < 0.04)
LUA
	'writable' => <<'LUA', 'true false true',
	local from, to = pipe()
	repeat until write(to, ("x"):rep(65536)) < 0
	local full = true
	local box = luaserv.channel(1)
	event.add(to, nil, function(fd) full = false event.set(fd, nil, false) box:push(true) end)
	luaserv.sleep(0.01)
	local before = full
	while type(read(from)) == "string" do end
	return tostring(before) .. " " .. tostring(not box:pop()) .. " " .. tostring(not event.is_set(to))
LUA
	'set changes and takes out, is_set tells' => <<'LUA', 'true false true;true true true;false true true;true;false',
	local from, to = pipe()
	local function says() return tostring(event.is_set(from, "read")) .. " " .. tostring(event.is_set(from, "write")) .. " " .. tostring(event.is_set(from)) end
	event.add(from, function() end)
	local out = { says() }
	event.set(from, nil, function() end)
	out[#out + 1] = says()
	event.set(from, false)
	out[#out + 1] = says()
	out[#out + 1] = tostring(event.del(from))
	out[#out + 1] = tostring(event.is_set(from))
	return table.concat(out, ";")
LUA
	'expected failures' => <<'LUA', 'descriptor 60000 cannot be watched: Bad file descriptor 9;files are always ready 1;is watched already;descriptor 60000 is not watched 2',
	local from, to = pipe()
	local out = {}
	local function add(...) local _, message, code = event.add(...) out[#out + 1] = message .. " " .. code end
	add(60000, function() end)
	add(ffi.C.open("/etc/passwd", 0), function() end)
	event.add(from, function() end)
	add(from, function() end)
	local _, message, code = event.del(60000)
	out[#out + 1] = message .. " " .. code
	event.del(from)
	return (table.concat(out, ";"):gsub("descriptor %d+ cannot be watched: files", "files"):gsub("descriptor %d+ is watched already; [^;]*", "is watched already"))
LUA
	'wrong use' => <<'LUA', 'number of an open descriptor;function, nil or false expected, got string;a function for reading or one for writing;"read", "write" or nil',
	local out = {}
	for _, args in ipairs { { -1, print }, { 0, "x" }, { 0 } } do
		out[#out + 1] = select(2, pcall(event.add, unpack(args)))
	end
	out[#out + 1] = select(2, pcall(event.is_set, 0, "both"))
	local found = {}
	for i, what in ipairs { "number of an open descriptor", "function, nil or false expected, got string",
		"a function for reading or one for writing", '"read", "write" or nil' } do
		found[i] = out[i]:find(what, 1, true) and what or out[i]
	end
	return table.concat(found, ";")
LUA
	'del inside the callback, and the same number again' => <<'LUA', 'a b',
	local from, to = pipe()
	local box = luaserv.channel(2)
	event.add(from, function(fd)
		local text = read(fd)
		event.del(fd)
		luaserv.sleep(0.01)
		box:push(text)
	end)
	write(to, "a")
	local first = box:pop()
	event.add(from, function(fd) box:push(read(fd)) event.del(fd) end)
	write(to, "b")
	return first .. " " .. box:pop()
LUA
);

while (my ($name, $body, $wanted) = splice @cases, 0, 3) {
	matrix $name => sub ($mode) {
		my $server = start_server(app => <<"LUA", settings => { worker_num => 1 });
local luaserv = require "luaserv"
local event = luaserv.event
$pipe
local server = luaserv.http("127.0.0.1", \$PORT)
server:on("request", function(req, res)
	local fine, text = pcall(function()
$body
	end)
	res:finish(text .. "\\n")
end)
server:start()
LUA
		is($server->get('/')->body, "$wanted\n", 'as it should be');
		is($server->stop, 0, 'and it stops');
	};
}

matrix 'an error is logged and the watch goes on' => sub ($mode) {
	my $server = start_server(app => <<"LUA", settings => { worker_num => 1 });
local luaserv = require "luaserv"
$pipe
local server = luaserv.http("127.0.0.1", \$PORT)
local from, to = nil, nil
local calls = 0
server:on("worker_start", function()
	from, to = pipe()
	luaserv.event.add(from, function(fd)
		calls = calls + 1
		read(fd)
		error("on purpose")
	end)
end)
server:on("request", function(req, res)
	write(to, "x")
	luaserv.sleep(0.01)
	res:finish(calls .. "\\n")
end)
server:start()
LUA
	is($server->get('/')->body, "1\n", 'called');
	is($server->get('/')->body, "2\n", 'and again');
	like($server->log, qr/the event handler failed: .*on purpose/, 'logged with its event');
	is($server->stop, 0, 'a watch keeps no worker alive');
};

matrix 'plain handlers' => sub ($mode) {
	my $server = start_server(app => <<"LUA", settings => { worker_num => 1, enable_coroutine => 'false' });
local luaserv = require "luaserv"
$pipe
local server = luaserv.http("127.0.0.1", \$PORT)
local got = ""
server:on("worker_start", function()
	local from, to = pipe()
	luaserv.event.add(from, function(fd) got = got .. read(fd) if got == "ab" then luaserv.event.del(fd) end end)
	write(to, "a")
	luaserv.after(20, function() write(to, "b") end)
end)
server:on("request", function(req, res) res:finish(got .. "\\n") end)
server:start()
LUA
	ok(wait_for(sub { $server->get('/')->body eq "ab\n" }), 'are called, too');
};

done_testing();
