# Task workers that keep dying are given up; tasks for them fail at once instead of waiting for ever.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", worker_max_deaths = 3, task_queue_max = 3, task_queue_size = "64k" }
server:on("task", function(server, id, src, data)
	if data == "die" then require "ffi".cdef "int raise(int);" require "ffi".C.raise(9) end
	if data == "sleep" then luaserv.sleep(0.3) end
	return data
end)
server:on("receive", function(server, fd, reactor_id, line)
	local verb = line:sub(1, -2)
	local value, message, code
	if verb == "fill" then
		local ids = {}
		for i = 1, 4 do ids[i], message, code = server:task("sleep") end
		value = #ids
	elseif verb == "large" then
		value, message, code = server:task(("x"):rep(70000))
	else
		value, message, code = server:task_wait(verb, 5)
	end
	server:send(fd, table.concat({ tostring(value), tostring(message), tostring(code) }, " ") .. "\n")
end)
server:start()
LUA

my $given_up = "nil the task worker has died again and again and is given up; the log says why 2005\n";

matrix 'no task waits for a task worker that does not come' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, task_worker_num => 1 })->expect_crash;
	my @clients = map { $server->client(timeout => 20) } 1 .. 2;
	my $ask = sub ($what) { return $clients[0]->send("$what\n")->recv_until("\n") };

	like($ask->('die'), qr/died by SIGKILL 2005\n/, "death $_") for 1 .. 2;
	$clients[1]->send("die\n");
	is($ask->('hello'), $given_up, 'a task that waited');
	like($clients[1]->recv_until("\n"), qr/died by SIGKILL/, 'the last death');
	is($ask->('hello'), $given_up, 'and one that comes then');
	is($server->status->{tasks}[0]{state}, 'failed', 'the status says so');
	is(($server->reload)[0], 0, 'a reload');
	is($ask->('hello'), "hello nil nil\n", 'tries again');
};

matrix 'the queue is bounded, by count and by bytes' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 1, task_worker_num => 1 });

	is($server->client->send("fill\n")->recv_until("\n"), "3 task queue is full 506\n", 'the fourth is refused');
	is($server->client->send("large\n")->recv_until("\n"), "nil task queue is full 506\n", 'too many bytes');
	ok(wait_for(sub { $server->client->send("x\n")->recv_until("\n") eq "x nil nil\n" }), 'later there is room');
};

my $expiring = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:set { protocol = "eof", open_eof_split = true, package_eof = "\n", task_timeout = "100ms", task_retry = 2 }
server:on("task", function(server, id, src, data)
	if data == "late" then luaserv.sleep(0.4) end
	if data == "die twice" then
		note("try")
		local f = io.open("$ROOT/notes")
		local _, n = f:read("*a"):gsub("try", "")
		f:close()
		if n <= 2 then require "ffi".cdef "int raise(int);" require "ffi".C.raise(9) end
	end
	return data
end)
server:on("finish", function(server, id, data, failure) note(id, tostring(data), failure and failure.message, failure and failure.code) end)
server:on("receive", function(server, fd, reactor_id, line)
	if line == "late\n" then
		server:task("late")
		server:task("behind")
	else
		server:send(fd, tostring(server:task_wait("die twice", 10)) .. "\n")
	end
end)
server:start()
LUA

matrix 'task_timeout and task_retry' => sub ($mode) {
	my $server = start_server(app => $expiring, settings => { worker_num => 1, task_worker_num => 1 })->expect_crash;
	my $client = $server->client(timeout => 10);

	$client->send("late\n");
	is_deeply([ sort $server->wait_notes(2) ],
		[ '0 nil the task has not ended in time 2003', '1 nil no task worker was free in time 2003' ], 'one ran, one waited');
	is($client->send("retry\n")->recv_until("\n"), "die twice\n", 'tried again until it lived');
	is(scalar(grep { $_ eq 'try' } $server->notes), 3, 'three times');
};
done_testing();
