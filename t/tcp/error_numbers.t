# What fails as expected says so with Swoole's numbers.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", package_max_length = 100 }
server:listen("127.0.0.1", $PORT_2, "udp"):on("packet", function() end)
server:listen("127.0.0.1", $PORT_3):set { protocol = "length", package_length_type = "l" }
local function code(value, message, number) return tostring(number or value) end
server:on("receive", function(server, fd, reactor_id, line)
	local out = {
		code(server:send(fd, "")),
		code(server:sendto("nonsense", 1, "x")),
		code(server:sendto("::1", 9, "x")),
		code(server:sendto("127.0.0.1", 9, ("x"):rep(70000))),
		code(server:sendfile(fd, "/nonexistent")),
		code(server:send(fd, table.concat({ "sent" }, " ") .. "\n")),
	}
	if line == "close\n" then
		out[#out + 1] = code(server:close(fd))
		out[#out + 1] = code(server:exists(fd))
		out[#out + 1] = code(server:send(fd, "x"))
		out[#out + 1] = code(server:close(fd))
	end
	note(table.concat(out, " "))
end)
server:on("close", function(server, fd, reactor_id, info)
	note("closed", info.by, info.reason, code(server:send(fd, "x")), code(server:close(fd)), code(server:sendfile(fd, "$ROOT/app.lua")))
end)
server:start()
LUA

my $first = '550 505 509 1203 700 true';

matrix 'as Swoole numbers them' => sub ($mode) {
	my $server = start_server(app => $app);
	my $notes = 0;
	my $told = sub ($n) { my @all = $server->wait_notes($notes + $n); my @new = @all[ $notes .. $#all ]; $notes = @all; return \@new };

	$server->client->send("stay\n")->recv_until("sent\n");
	is_deeply($told->(2), [ $first, 'closed peer normal 1002 1004 1002' ], 'the peer closes');
	my $client = $server->client;
	$client->send("close\n");
	is_deeply($told->(2), [ "$first true false 1003 1003", 'closed server by_app 1001 1004 1001' ], 'the server closes');
	$client = $server->client;
	$client->send('x' x 200);
	is_deeply($told->(1), ['closed limit too_large 1001 1004 1001'], 'too long a message');
	$client = Test::Luaserv::Client->connect(port => $server->port(3));
	$client->send(pack('l', -5) . 'x');
	is_deeply($told->(1), ['closed error malformed 1001 1004 1001'], 'no length');
};

matrix 'a message that stands alone has a connection all the same', process => 'dispatch_mode is of process mode', sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 2 });
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { dispatch_mode = "round" }
server:on("receive", function(server, fd, reactor_id, data)
	server:send(fd, "a" .. tostring(server:protect(fd)))
	server:sendfile(fd, "$ROOT/data.txt")
	server:close(fd)
end)
server:start()
LUA
	$server->write_files({ 'data.txt' => 'file' });
	is($server->client->send('x')->recv_all, 'atruefile', 'it can be sent to and closed');
};

# Of the names, only some errno's are not in the C header; no number is there without its name.
matrix 'every code that C tells has a name in luaserv.errors' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local lines = {}
	for name, code in pairs(luaserv.errors) do lines[#lines + 1] = code end
	res:finish(table.concat(lines, "\n"))
end)
server:start()
LUA
	my %named = map { $_ => 1 } split /\n/, $server->get('/')->body;
	my @codes = slurp(repo_root() . '/src/worker/codes.h') =~ /^\tCODE_\w+ = (\d+),/mg;

	cmp_ok(scalar @codes, '>', 10, 'the header was read');
	is_deeply([ grep { !$named{$_} } @codes ], [], 'all are named');
};
done_testing();
