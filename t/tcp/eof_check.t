use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== what ends with the delimiter is delivered whole, delimiters inside included
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { open_eof_check = true, package_eof = "\n" }
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, "[" .. data .. "]") end)
server:start()
--- tcp_send eval
["one\n", "two\nthree\n", "fo", "ur\n"]
--- tcp_recv eval
["[one\n]", "[two\nthree\n]", "", "[four\n]"]

=== what does not end with it waits
--- clients
A connect
A > one\ntwo
A quiet
A > \n
A < [one\ntwo\n]

=== too much without an end closes the connection
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { open_eof_check = true, package_eof = "\n", package_max_length = 100 }
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, "received") end)
server:start()
--- tcp_send eval
"x" x 101
--- tcp_recv_like eval
qr/\A\z/
--- tcp_close: server
