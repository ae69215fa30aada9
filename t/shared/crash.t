# Four workers at a table, a dict, an atomic and each kind of lock at once, while they are killed -9 at random moments: no row and no
# value is torn, no lock stays shut, and whoever comes next goes on.  LUASERV_TEST_KILLS=1000 kills so many (default 10),
# LUASERV_TEST_SECONDS=60 goes on for so long without any (default 2).
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Time::HiRes qw(sleep);

my $kills = $ENV{LUASERV_TEST_KILLS} || 10;
my $seconds = $ENV{LUASERV_TEST_SECONDS} || 2;

my $app = <<'LUA';
local luaserv = require "luaserv"
local rows = luaserv.table("rows", 64, { a = "int", b = "int", sum = "int", text = "string(64)" })
local cache = luaserv.dict("cache", "256k")
local rounds = luaserv.atomic("rounds")
local faults = luaserv.atomic("faults")
local pairs_of = luaserv.table("pairs", 4, { first = "int", second = "int" })
local mutex = luaserv.lock("mutex", "mutex")
local rwlock = luaserv.lock("rwlock", "rwlock")
local spin = luaserv.lock("spin", "spin")
local permits = luaserv.lock("permits", "sem", 2)
local server = luaserv.http("127.0.0.1", $PORT)
server:set { dispatch_mode = "round", max_execution_time = 0, max_wait_time = "1s" }

local function fault(what, ...)
	faults:add(1)
	print("FAULT", what, ...)
end

local function rows_round()
	local key, n = "row" .. math.random(40), math.random(1000000)
	if math.random(5) == 1 then
		rows:del(key)
	else
		local ok, message = rows:set(key, { a = n, b = 2 * n, sum = 3 * n, text = ("%06d"):format(n % 1000000):rep(10) })
		if not ok then fault("set", message) end
	end
	local row = rows:get("row" .. math.random(40))
	if row and (row.a + row.b ~= row.sum or row.text ~= ("%06d"):format(row.a % 1000000):rep(10)) then fault("row", row.a, row.b, row.sum, row.text) end
end

local function cache_round()
	local key, letter = "key" .. math.random(500), string.char(96 + math.random(26))
	local n = math.random(10)
	if n == 1 then cache:delete(key)
	elseif n == 2 then cache:incr("number", 1, 0)
	elseif n == 3 then cache:lpush("list", letter:rep(50))
	elseif n == 4 then cache:rpop("list")
	elseif n == 5 then cache:set(key, letter:rep(100), 0.001)
	else cache:set(key, letter:rep(math.random(2000))) end
	local value = cache:get("key" .. math.random(500))
	if value and value ~= value:sub(1, 1):rep(#value) then fault("value", value) end
end

-- Two numbers that are equal whenever nobody is inside; who inherits the lock of a dead one makes them so.
local function guarded(key, lock, unlock)
	local ok, message = lock()
	if not ok then return fault("lock " .. key, message) end
	local row = pairs_of:get(key) or { first = 0, second = 0 }
	if row.first ~= row.second and message ~= "the owner died" then fault("pair", key, row.first, row.second, message) end
	pairs_of:set(key, { first = row.first + 1, second = row.second })
	pairs_of:set(key, { second = row.first + 1 })
	unlock()
end

local function locks_round()
	local patience = 30
	guarded("mutex", function() return mutex:lock(patience) end, function() mutex:unlock() end)
	guarded("spin", function() return spin:lock(patience) end, function() spin:unlock() end)
	guarded("rwlock", function() return rwlock:lock(patience) end, function() rwlock:unlock() end)
	local ok, message = rwlock:lock_read(patience)
	if not ok then fault("lock_read", message) else rwlock:unlock() end
	ok, message = permits:lock(patience)
	if not ok then fault("permit", message) else permits:unlock() end
end

server:on("worker_start", function(server, id)
	math.randomseed(luaserv.now() * 1000 + id)
	luaserv.go(function()
		while true do
			for _ = 1, 20 do
				rows_round()
				cache_round()
			end
			locks_round()
			rounds:add(1)
			luaserv.sleep(0.001)
		end
	end)
end)
server:on("request", function(req, res)
	res:json { rounds = rounds:get(), faults = faults:get(), rows = rows:count() }
end)
server:start()
LUA

sub state_of ($server) {
	my $body = $server->get('/')->body;
	return map { $body =~ /"$_":(\d+)/ } qw(rounds faults);
}

# Rounds go on, of all workers together.
sub goes_on ($server, $by = 40) {
	my ($before) = state_of($server);
	return wait_for(sub { (state_of($server))[0] > $before + $by }, 10);
}

matrix 'all of them at once' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 4 });
	my ($end, $stuck) = (now() + $seconds, 0);

	goes_on($server) || $stuck++ while now() < $end;
	is($stuck, 0, "rounds for $seconds s");
	is((state_of($server))[1], 0, 'nothing torn, nothing locked for ever') || diag($server->log);
};

matrix 'killed at random moments' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 4 });
	my $stuck = 0;
	my @pids = $server->worker_pids;

	$server->expect_crash;
	for my $n (1 .. $kills) {
		my $pid = shift @pids; # in turn, so that each lives for more than a second and counts as no quick death

		sleep(0.3 + rand 0.1);
		kill KILL => $pid;
		my $next = wait_for(sub {
			my %seen = map { $_ => 1 } @pids, $pid;
			return (grep { $_ && !$seen{$_} } $server->worker_pids)[0];
		}, 10);
		$stuck++ if !$next || !goes_on($server, 4);
		push @pids, $next // ();
	}
	is($stuck, 0, "$kills kills, and the others went on after each");
	ok(goes_on($server), 'they still do');
	is((state_of($server))[1], 0, 'nothing torn, nothing locked for ever') || diag($server->log);
};
done_testing();
