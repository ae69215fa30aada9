use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

matrix 'the pid file names the master, and goes with it' => sub ($mode) {
	my $server = start_server(app => $app);

	like(slurp($server->pid_path), qr/\A@{[ $server->pid ]}\n?\z/, 'its content');
	$server->stop;
	ok(!-e $server->pid_path, 'gone');
};

matrix 'a stale pid file does not hinder' => sub ($mode) {
	my $server = new_server();

	spew($server->pid_path, "$$\n"); # a living process that is no luaserv
	ok($server->start(app => $app), 'it starts') or diag($server->complaint);
	like(slurp($server->pid_path), qr/\A@{[ $server->pid ]}\n?\z/, 'and takes the file over');
};

matrix 'a second server with the same pid file is refused, the first serves on' => sub ($mode) {
	my $server = start_server(app => $app);
	my ($code, $out, $err) = $server->cli_bare('-s', $server->app_path, '-o', 'pid_file=' . $server->pid_path,
		'-o', "mode=$mode");

	is($code, 1, 'exit code');
	like($err, qr/luaserv\.pid|in use|already/, 'message');
	is($server->get('/')->status, 200, 'the first serves on');
	like(slurp($server->pid_path), qr/\A@{[ $server->pid ]}\n?\z/, 'the file is untouched');
};

matrix 'a pid file that cannot be written ends the start with a sentence' => sub ($mode) {
	my $server = new_server();

	ok(!$server->start(app => $app, settings => { pid_file => '$ROOT/no/such/folder/pid' }), 'refused');
	is($server->exit_code, 1, 'exit code');
	like($server->complaint, qr{no/such/folder/pid}, 'message');
};

done_testing();
