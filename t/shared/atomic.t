use lib 't/lib';
use Test::Luaserv;

# An atomic and a lock are the same in every process, through reloads and deaths.

my $app = <<'LUA';
local luaserv = require "luaserv"
local hits = luaserv.atomic("hits")
local gate = luaserv.lock("gate")
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local does = {
		["/add"] = function() return hits:add() end,
		["/hold"] = function() return assert(gate:lock(5)) end,
		["/take"] = function() local ok, how = gate:lock(5); gate:unlock(); return tostring(ok) .. " " .. tostring(how) end,
		["/try"] = function() local ok, message = gate:trylock(); if ok then gate:unlock() end return tostring(ok) .. " " .. tostring(message) end,
		["/undeclared"] = function() return select(2, pcall(luaserv.atomic, "other")) end,
		["/reserved"] = function() return select(2, pcall(luaserv.atomic, "luaserv:x")) end,
		["/shape"] = function() return select(2, pcall(luaserv.lock, "gate", "rwlock")) end,
	}
	res:finish(tostring(does[req.path]()) .. "\n")
end)
server:start()
LUA

matrix 'values survive a reload, and a worker that is killed' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 2 });

	$server->expect_crash;
	is($server->get('/add')->body, "$_\n", "count $_") for 1 .. 4;
	my ($code) = $server->reload(app => $app . "-- again\n");
	is($code, 0, 'reload');
	is($server->get('/add')->body, "5\n", 'after the reload');
	for my $pid ($server->worker_pids) {
		kill KILL => $pid;
		ok($server->wait_respawn($pid), 'a worker is back');
	}
	is($server->get('/add')->body, "6\n", 'after the death of all workers');
};

matrix 'a lock whose owner is killed is inherited' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1 });
	my ($pid) = $server->worker_pids;

	$server->expect_crash;
	is($server->get('/hold')->body, "true\n", 'held');
	is($server->get('/try')->body, "nil the mutex is held\n", 'by somebody');
	kill KILL => $pid;
	ok($server->wait_respawn($pid), 'a worker is back');
	is($server->get('/take')->body, "true the owner died\n", 'told so once');
	is($server->get('/take')->body, "true nil\n", 'and not again');
};

matrix 'mistakes are explained' => sub ($mode) {
	my $server = start_server(app => $app);

	like($server->get('/undeclared')->body, qr/luaserv\.atomic: "other" was not declared when the script was evaluated/, 'undeclared');
	like($server->get('/reserved')->body, qr/names that begin with "luaserv:"/, 'reserved');
	like($server->get('/shape')->body, qr/"gate" is declared as a mutex lock, and here as a rwlock lock/, 'another shape');

	my ($code, $out, $err) = $server->reload(app => $app =~ s/luaserv.lock\("gate"\)/luaserv.lock("gate", "rwlock")/r);
	is($code, 1, 'a reload that changes a shape is refused');
	like($err, qr/a restart is needed to change the shared memory "gate" \(a mutex lock -> a rwlock lock\)/, 'why');

	($code, $out, $err) = $server->reload(app => $app =~ s/local gate/luaserv.lock("hits") local gate/r);
	is($code, 1, 'a name declared twice');
	like($err, qr/"hits" is declared twice: as an atomic, and as a mutex lock/, 'why');

	($code, $out, $err) = $server->reload(app => $app =~ s/"gate"/"new"/r);
	is($code, 0, 'a name that is gone, and a new one') or diag $err;
	($code, $out, $err) = $server->reload(app => $app =~ s/luaserv.lock\("gate"\)/luaserv.lock("gate", "sem", 3)/r);
	is($code, 1, 'the one that is gone comes again as something else');
	like($err, qr/a restart is needed to change the shared memory "gate" from a mutex lock to a sem lock of 3 permits/, 'why');
	($code, $out, $err) = $server->reload(app => $app);
	is($code, 0, 'and comes again as it was') or diag $err;
};

done_testing();
