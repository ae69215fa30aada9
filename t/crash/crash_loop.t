use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local ffi = require "ffi"
ffi.cdef "int raise(int signal);"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("worker_start", function()
	local f = io.open("$ROOT/die")
	if f then
		f:close()
		luaserv.after(1, function() ffi.C.raise(9) end)
	end
end)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

matrix 'a worker that keeps dying is given up: one line in the log, 503 for clients' => sub ($mode) {
	my $server = start_server(app => $app)->expect_crash;
	my ($pid) = $server->worker_pids;

	is($server->get('/')->status, 200, 'at first');
	spew($server->root . '/die', '');
	kill KILL => $pid;
	ok($server->wait_status(sub { $_->{workers}[0]{state} eq 'failed' }, 20), 'the slot is marked failed')
		or return diag($server->log);
	my @lines = grep { /^\S+ error .*in a row/ } split /\n/, $server->log;
	is(scalar @lines, 1, 'one line says so') or diag($server->log);
	if ($mode eq 'process') {
		is($server->get('/')->status, 503, 'clients are told');
	}
	ok(alive($server->pid), 'the server is there');

	unlink $server->root . '/die';
	is(($server->reload)[0], 0, 'a reload starts the slot again');
	ok(wait_for(sub { eval { $server->get('/')->status == 200 } }), 'and it serves');
};

matrix 'the others serve while one slot fails' => sub ($mode) {
	my $only_0 = $app =~ s/local f = /local f = server.worker_id == 0 and /r;
	my $server = start_server(settings => { worker_num => 2 }, app => $only_0)->expect_crash;
	my @pids = $server->worker_pids;

	spew($server->root . '/die', '');
	kill KILL => $pids[0];
	ok($server->wait_status(sub { $_->{workers}[0]{state} eq 'failed' }, 20), 'slot 0 is marked failed')
		or return diag($server->log);
	is($server->get('/')->status, 200, 'slot 1 serves') for 1 .. 10;
	is(($server->worker_pids)[1], $pids[1], 'and is the same');
};

done_testing();
