use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

matrix 'luaserv -d returns when the server serves, and stop ends it' => sub ($mode) {
	my $server = new_server();
	$server->write_app($app);
	my ($code, $out, $err) = $server->cli_bare('-s', $server->app_path, '-d', $server->options);

	is($code, 0, 'exit code') or return diag($out, $err);
	is($server->get('/')->body, "ok\n", 'it serves at once');
	my $pid = slurp($server->pid_path) + 0;
	is($server->status->{master_pid}, $pid, 'the pid file names the master');
	isnt(getsid($pid), getsid($$), 'it has a session of its own');
	is(readlink "/proc/$pid/fd/0", '/dev/null', 'standard input is /dev/null');

	($code, $out, $err) = $server->cli('stop');
	is($code, 0, 'stop') or diag($out, $err);
	ok(wait_for(sub { !alive($pid) }), 'it has gone');
	kill KILL => $pid if $pid && alive($pid);
};

matrix 'luaserv -d tells why it cannot start' => sub ($mode) {
	my $server = new_server();
	$server->write_app("error('not today')\n");
	my ($code, $out, $err) = $server->cli_bare('-s', $server->app_path, '-d', $server->options);

	is($code, 1, 'exit code');
	like($err . $server->log, qr/app\.lua:1: not today/, 'message');
};

sub getsid ($pid) { return (split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr)[3] }

done_testing();
