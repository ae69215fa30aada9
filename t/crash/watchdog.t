use lib 't/lib';
use Test::Luaserv;

plan(skip_all => 'ThreadSanitizer holds signals back until a system call, and these loops make none.')
	if ($ENV{LUASERV_TEST_BUILD} // '') eq 'tsan';

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local shapes = {}

function shapes.empty() while true do end end
function shapes.arithmetic() local x = 0 for i = 1, 1e18 do x = x + i % 7 end return x end
function shapes.calls() local function f(n) return n + 1 end local n = 0 repeat n = f(n) until n < 0 end
function shapes.tail() local function f() return f() end return f() end
function shapes.strings() local i = 0 while true do i = i + 1 local s = tostring(i):rep(3):upper() end end
function shapes.pcall() while true do pcall(function() while true do end end) end end
function shapes.coroutine() coroutine.wrap(function() while true do end end)() end
function shapes.c_call() return ("a"):rep(10000):find((".-"):rep(12) .. "b") end

server:on("request", function(req, res)
	local shape = shapes[req.path:sub(2)]
	if shape then shape() end
	res:finish("ok\n")
end)
server:start()
LUA

matrix 'a loop that does not yield gets an error, whatever its shape' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_execution_time => '700ms' });
	my ($pid) = $server->worker_pids;

	for my $shape (qw(empty arithmetic calls tail strings pcall coroutine)) {
		$server->forget_log;
		is($server->client(timeout => 10)->get("/$shape")->status, 500, "$shape: status");
		ok($server->wait_log(qr/max_execution_time/), "$shape: logged");
		like($server->log, qr/app\.lua:\d+/, "$shape: where");
		is($server->get('/')->status, 200, "$shape: the worker serves on");
	}
	is(($server->worker_pids)[0], $pid, 'it is the same worker');
};

matrix 'a C call that does not return meets the hard limit' => sub ($mode) {
	my $server = start_server(app => $app, settings => { max_execution_time => '300ms' })->expect_crash;
	my ($pid) = $server->worker_pids;
	my $client = $server->client(timeout => 15);

	$client->send("GET /c_call HTTP/1.1\r\nHost: a\r\n\r\n");
	if ($mode eq 'process') {
		is($client->response->status, 502, 'status');
	} else {
		is($client->recv_all, '', 'the connection ends');
	}
	ok($server->wait_respawn($pid), 'a worker is back');
	is($server->get('/')->status, 200, 'and serves');
	like($server->log, qr/max_execution_time|did not yield|hard limit/, 'the log says why');
};

matrix 'waiting is not running' => sub ($mode) {
	my $server = start_server(settings => { max_execution_time => '1s' }, app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local t = os.clock()
	for i = 1, 60 do
		luaserv.sleep(0.005)
		t = os.clock()
		repeat until os.clock() - t > 0.02
	end
	res:finish("ok\n")
end)
server:start()
LUA
	is($server->get('/')->status, 200, 'a handler that yields now and then may take longer');
};

done_testing();
