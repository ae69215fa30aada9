use lib 't/lib';
use Test::Luaserv;

matrix 'what a handler began outlives its error, with its variables' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { worker_num => 1 });
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local seen = "nothing"
server:on("request", function(req, res)
	if req.path == "/seen" then return res:finish(seen .. "\n") end
	local kept, list = "kept", { "a" }
	server:after(5, function() seen = tostring(kept) .. " " .. tostring(list and list[1]) end)
	luaserv.go(function() luaserv.sleep(0.02) seen = seen .. " " .. tostring(kept) .. " " .. tostring(list and list[1]) end)
	for i = 1, 20 do luaserv.go(function() error("as well") end) end
	error("on purpose")
end)
server:start()
LUA
	is($server->get('/raise')->status, 500, 'it raises');
	ok(wait_for(sub { $server->get('/seen')->body eq "kept a kept a\n" }), 'its closures see what they saw');
};

matrix 'an error is logged once, on one record, with traceback and request line' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
local function inner() error("the reason") end
local function outer() inner() end
server:on("request", function(req, res)
	luaserv.sleep(0.001)
	outer()
end)
server:start()
LUA
	is($server->get('/path?x=1')->status, 500, 'status') for 1 .. 3;
	ok($server->wait_log(qr/(?:the reason.*?){3}/s), 'three records');
	my @heads = grep { /^\d{4}-\S+ error worker\[0\] / } split /\n/, $server->log;
	is(scalar @heads, 3, 'one record for each');
	my ($record) = $server->log =~ /^(\S+ error .*?)(?=^\d{4}-|\z)/ms;
	like($record, qr/app\.lua:3: the reason/, 'where');
	like($record, qr/stack traceback:/, 'how');
	like($record, qr/app\.lua:4/, 'from where');
	like($record, qr{GET /path}, 'for which request');
	like($record, qr/request/, 'in which event');
	unlike($record, qr/\n[^\t]/, 'inner lines are set in');
};

matrix 'bytes from outside cannot forge log lines' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) error(req:body()) end)
server:start()
LUA
	$server->client->post('/', "x\n2026-11-22T10:19:55.123Z error master forged: line\n", close => 1);
	ok($server->wait_log(qr/forged/), 'logged');
	unlike($server->log, qr/^2026-\S+ error master forged/m, 'but not as a line of its own');
};

matrix 'errors at load name file and line, and the exit code is 1' => sub ($mode) {
	my %cases = (
		"local server = \nserver:start(" => qr/app\.lua:\d+: /,
		"local x\nx.y = 1\n" => qr/app\.lua:2: attempt to index local 'x'/,
		"require 'nowhere'\n" => qr/module 'nowhere' not found/,
		"error({})\n" => qr/./,
		"" => qr/./,
	);

	for my $text (sort keys %cases) {
		my $server = new_server();
		ok(!$server->start(app => $text), 'refused');
		is($server->exit_code, 1, 'exit code');
		like($server->complaint, $cases{$text}, 'what it says');
	}
};

matrix 'an error in worker_start ends the start, with its traceback' => sub ($mode) {
	my $server = new_server();

	ok(!$server->start(settings => { start_timeout => '2s' }, app => <<'LUA'), 'refused');
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("worker_start", function() error("cannot begin") end)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA
	is($server->exit_code, 1, 'exit code');
	like($server->complaint, qr/app\.lua:2: cannot begin/, 'what it says');
};

done_testing();
