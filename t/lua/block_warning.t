# block_warning: the log says what holds the loop, and where.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local ffi = require "ffi"
ffi.cdef "unsigned int sleep(unsigned int seconds);"
local server = luaserv.http("127.0.0.1", $PORT)
local function spin(seconds)
	local t, n = os.clock(), 0
	repeat n = n + 1 until os.clock() - t > seconds -- here it stands
	return n
end
server:on("request", function(req, res)
	if req.path == "/spin" then spin(0.5) end
	if req.path == "/wait" then luaserv.sleep(0.5) end
	if req.path == "/c" then ffi.C.sleep(1) end
	res:finish("done\n")
end)
server:start()
LUA

matrix 'a loop that does not yield is told of once, with its place, and ends as it would' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, block_warning => '100ms' });

	is($server->get('/spin')->body, "done\n", 'it is answered');
	my @lines = $server->log =~ /warn worker\[0\][^\n]*request of fd \d+ holds the loop of this worker for \d+ ms \(block_warning\)/g;
	is(scalar @lines, 1, 'one line');
	like($server->log, qr/block_warning.*stack traceback:(?:\s+\[C\][^\n]*)?\s+\S*app\.lua:\d+: in function 'spin'/s, 'with the place');
	ok(wait_for(sub { $server->get('/spin'); 2 == (() = $server->log =~ /holds the loop/g) }, 10, 0), 'later ones are told of, too, once a second');
};

matrix 'one that waits is not told of' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, block_warning => '100ms' });

	is($server->get('/wait')->body, "done\n", 'it is answered');
	unlike($server->log, qr/holds the loop/, 'and nothing is said');
};

matrix 'a C function that blocks is told of when it returns' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, block_warning => '100ms' });

	is($server->get('/c')->body, "done\n", 'it is answered');
	ok($server->wait_log(qr/holds the loop of this worker for \d+ ms/), 'told');
};

matrix 'beside max_execution_time' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, block_warning => '50ms', max_execution_time => '200ms' });

	is($server->get('/spin')->status, 500, 'the limit holds');
	like($server->log, qr/holds the loop.*max_execution_time/s, 'both are told');
	is($server->get('/wait')->body, "done\n", 'it goes on');
};

matrix 'off' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });

	$server->get('/spin');
	unlike($server->log, qr/holds the loop/, 'nothing is said');
};

done_testing();
