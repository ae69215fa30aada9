# A full disk costs lines of the log, and nothing else.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Util qw(slurp);

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	if req.path == "/error" then
		error("of the app")
	end
	res:finish("ok\n")
end)
server:start()
LUA

matrix 'the server serves on, and says once what is lost' => sub ($mode) {
	my $server = new_server();
	my $path = $server->root . '/app.log';

	symlink '/dev/full', $path or die "symlink: $!\n";
	ok($server->start(app => $app, settings => { log_file => $path }), 'it starts');
	is($server->get('/')->status, 200, 'it serves');
	is($server->get('/error')->status, 500, 'also when a worker has something to say');
	is($server->get('/')->status, 200, 'and goes on');
	is(slurp($server->root . '/logs/stderr'),
		"luaserv: the log file $path cannot be written: No space left on device; lines are lost and counted until it can\n",
		'one sentence on standard error');

	unlink $path;
	my ($code, $out, $err) = $server->cli('reopen');
	is($code, 0, 'the log is opened anew') or diag($out, $err);
	is($server->get('/error')->status, 500, 'a second error');
	ok(wait_for(sub { slurp($path) =~ /app\.lua:4: of the app/ }), 'is in the new file');
	like(slurp($path), qr/\(\d+ lines before this one were lost: No space left on device\)$/m, 'which tells what was lost');
	is($server->stop, 0, 'exit code');
	is(slurp($server->root . '/logs/stderr') =~ tr/\n//, 1, 'nothing more on standard error');
};

matrix 'nor does a full disk for the access log stop it' => sub ($mode) {
	my $server = start_server(app => $app, settings => { access_log => '/dev/full' });

	is($server->get('/')->status, 200, "request $_") for 1 .. 3;
	ok($server->wait_log(qr/access log cannot be written: No space left on device; \d+ bytes of it are lost/), 'the loss is told');
};

done_testing();
