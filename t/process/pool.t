# luaserv.process_pool: workers for messages of a socket or a queue, or for loops of their own.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Queue;

my $socket = <<'LUA';
local luaserv = require "luaserv"
local pool = luaserv.process_pool(2, "socket")
$NOTE
pool:listen($LISTEN)
pool:on("worker_start", function(pool, id)
	note("start", id)
	while true do luaserv.sleep(3600) end
end)
pool:on("worker_stop", function(pool, id) note("stop", id) end)
pool:on("message", function(pool, data)
	if data == "slow" then luaserv.sleep(0.2) end
	if data == "raise" then error("no luck") end
	pool:write(#data > 100 and tostring(#data) or data:upper())
	if data == "twice" then pool:write("again") end
end)
pool:set { max_wait_time = "1s" }
pool:start()
LUA

sub talk ($client, $data) { return $client->send(pack('N/a*', $data)) }
sub answer ($client) { return $client->recv(unpack 'N', $client->recv(4)) }

matrix 'messages of a socket' => sub ($mode) {
	my $server = start_server(app => $socket =~ s/\$LISTEN/"127.0.0.1", \$PORT/r, settings => { worker_num => 2 })->expect_crash;

	is_deeply([ sort $server->wait_notes(2) ], [ 'start 0', 'start 1' ], 'each worker starts, and its handler need not end');
	my $slow = talk($server->client, 'slow');
	my $client = talk($server->client, 'twice');
	is(answer($client), 'TWICE', 'an answer');
	is(answer($client), 'again', 'another one');
	is($client->recv_all, '', 'then the connection ends');
	is(answer(talk($server->client, 'x' x 2_000_000)), 2_000_000, 'two million bytes');
	is(answer($slow), 'SLOW', 'one that waits is answered as well');
	is(talk($server->client, 'raise')->recv_all, '', 'one that fails is closed');
	ok($server->wait_log(qr/the receive handler failed, fd \d+: .*no luck/), 'and logged');
	is($server->client->send(pack('N', 3_000_000))->recv_all, '', 'one that is too long is refused');
	my ($pid) = $server->worker_pids;
	kill KILL => $pid;
	ok($server->wait_respawn($pid), 'a worker that dies is replaced');
	is(answer(talk($server->client, 'on')), 'ON', 'and goes on');
	$server->forget_log;
	is($server->stop, 0, 'it stops');
	is(scalar(grep { /^stop/ } $server->notes), 2, 'worker_stop');
};

matrix 'a unix socket' => sub ($mode) {
	my $server = start_server(app => $socket =~ s/\$LISTEN/"unix:\$ROOT\/pool.sock"/r);

	is(answer(talk(Test::Luaserv::Client->connect(path => $server->root . '/pool.sock'), 'hello')), 'HELLO', 'an answer');
};

matrix 'messages of a queue' => sub ($mode) {
	my $server = new_server(mode => $mode);
	my $queue = Test::Luaserv::Queue->new($server);
	my $app = <<'LUA' =~ s/\$KEY/$queue->key/er;
local luaserv = require "luaserv"
local pool = luaserv.process_pool(2, "message_queue", $KEY)
$NOTE
pool:on("worker_start", function(pool, id) note("start", id) end)
pool:on("message", function(pool, data) note(data, pcall(pool.write, pool, "x") and "answered" or "no answer") end)
pool:start()
LUA
	ok($server->start(app => $app), 'it starts');
	is_deeply([ sort $server->wait_notes(2) ], [ 'start 0', 'start 1' ], 'workers are numbered from 0');
	is(($server->cli_bare('task', 'push', '-k', $queue->key, 'outside'))[0], 0, 'pushed');
	is(($server->wait_notes(3))[2], 'outside no answer', 'handled');
	$queue->remove if $server->stop == 0;
};

matrix 'workers that need nobody' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { max_wait_time => '1s' });
local luaserv = require "luaserv"
local pool = luaserv.process_pool(1)
$NOTE
pool:on("worker_start", function(pool, id)
	for i = 1, 3 do note(id, i) luaserv.sleep(0.01) end
end)
pool:start()
LUA
	is_deeply([ $server->wait_notes(3) ], [ '0 1', '0 2', '0 3' ], 'they run');
	like($server->log, qr/luaserv \S+ runs without a port/, 'and no port is open');
};

for my $case (
	[ 'luaserv.process_pool(0)', 'the number of workers is 0; it must be 1 or more' ],
	[ 'luaserv.process_pool(1, "pipe")', 'ipc is "pipe"; it can be "none", "socket" or "message_queue"' ],
	[ 'luaserv.process_pool(1, "socket"):on("message", print):start()', 'pool:listen belongs to ipc "socket", and ipc "socket" wants it' ],
	[ 'luaserv.process_pool(1):on("request", print)', 'there is no event "request"; there are worker_start, worker_stop and message' ],
	[ 'luaserv.process_pool(1, "message_queue"):on("message", print):start()', 'ipc "message_queue" wants the key of the queue' ],
	[ 'luaserv.server("none"):start()', 'the script opens no port, and has no user process, no worker_start handler and no tasks of a queue' ],
) {
	my ($code, $sentence) = @$case;
	my ($server, $exit, $out, $err) = check_app("local luaserv = require 'luaserv'\n$code\n");
	is($exit, 1, $code);
	like($err, qr/\Q$sentence\E/, 'says why');
	$server->remove;
}
done_testing();
