use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== a client that shuts its sending side gets what is still to come
--- app
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { open_eof_split = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data)
	luaserv.sleep(0.02)
	server:send(fd, "got " .. data)
end)
server:start()
--- tcp_send eval
"one\ntwo\nthree\n"
--- tcp_close: client
--- tcp_recv eval
"got one\ngot two\ngot three\n"
--- stats
connections = 0

=== and much of it
--- app
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data)
	for i = 1, 50 do
		luaserv.sleep(0.001)
		server:send(fd, ("x"):rep(20000))
	end
end)
server:start()
--- tcp_send: go
--- tcp_close: client
--- tcp_recv eval
"x" x 1_000_000
--- stats
connections = 0

=== a client that shuts at once and says nothing is let go
--- tcp_send eval
""
--- tcp_close: client
--- tcp_recv_like eval
qr/\A\z/
--- stats
connections = 0
