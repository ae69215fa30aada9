use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== one message for each delimiter, which stays in the data
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { open_eof_split = true, package_eof = "\r\n" }
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, #data .. ":" .. data) end)
server:start()
--- tcp_send eval
["one\r\ntwo\r\n\r\nthr", "ee\r", "\nlast"]
--- tcp_recv eval
["5:one\r\n5:two\r\n2:\r\n", "", "7:three\r\n"]

=== a delimiter cut in two, byte by byte
--- tcp_send eval
[split //, "ab\rc\r\n\r\r\n"]
--- tcp_recv eval
[("") x 5, "6:ab\rc\r\n", "", "", "3:\r\r\n"]

=== many messages in one read
--- tcp_send eval
"x\r\n" x 5000
--- tcp_recv eval
"3:x\r\n" x 5000

=== what has no delimiter is not delivered at the end
--- tcp_send eval
"one\r\nrest"
--- tcp_close: client
--- tcp_recv eval
"5:one\r\n"

=== a message over package_max_length closes the connection
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { open_eof_split = true, package_eof = "\r\n", package_max_length = 1000 }
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, #data .. "\n") end)
server:start()
--- tcp_send eval
[("x" x 998) . "\r\n", ("x" x 999) . "\r\n"]
--- tcp_recv eval
["1000\n"]
--- tcp_close: server

=== so does one that does not end
--- tcp_send eval
"x" x 1001
--- tcp_recv_like eval
qr/\A\z/
--- tcp_close: server

=== a delimiter of eight bytes, given as an option
--- app
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, #data .. "\n") end)
server:start()
--- settings
open_eof_split = true
package_eof = "\x00\x01EOF\xff\r\n"
--- tcp_send eval
"hello\0\1EOF\xff\r\nx\0\1EOF\xff\r\n"
--- tcp_recv eval
"13\n9\n"
