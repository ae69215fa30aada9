use lib 't/lib';
use Test::Luaserv;

# What was accepted is frozen: a worker that dies after the files on disk have changed starts with the accepted
# code.

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
local part = require "lib.part"
server:on("request", function(req, res) res:finish(part.text .. " " .. require("lib.late").text .. "\n") end)
server:start()
LUA

my %files = ('lib/part.lua' => 'return { text = "accepted" }', 'lib/late.lua' => 'return { text = "too" }');

sub respawn ($server) {
	my ($pid) = $server->worker_pids;

	kill KILL => $pid;
	ok($server->wait_respawn($pid), 'a worker is back');
	return;
}

matrix 'a crash after a failed reload restarts the accepted code' => sub ($mode) {
	my $server = start_server(app => $app, files => \%files);

	$server->expect_crash;
	is($server->get('/')->body, "accepted too\n", 'at first');
	my ($code, $out, $err) = $server->reload(app => "this is no Lua\n",
		files => { 'lib/part.lua' => 'neither is this' });
	is($code, 1, 'the reload is refused');
	respawn($server);
	is($server->get('/')->body, "accepted too\n", 'the same code again');
};

matrix 'so does a crash while files are being changed' => sub ($mode) {
	my $server = start_server(app => $app, files => \%files);

	$server->expect_crash;
	$server->write_app("half wri");
	unlink $server->root . "/$_" for keys %files;
	respawn($server);
	is($server->get('/')->body, "accepted too\n", 'nothing of the disk is seen');
};

matrix 'a crash after an accepted reload restarts the new code' => sub ($mode) {
	my $server = start_server(app => $app, files => \%files);

	$server->expect_crash;
	my ($code) = $server->reload(app => $app, files => { 'lib/part.lua' => 'return { text = "new" }' });
	is($code, 0, 'reload');
	is($server->get('/')->body, "new too\n", 'the new code');
	$server->write_files({ 'lib/part.lua' => 'return { text = "newer" }' });
	respawn($server);
	is($server->get('/')->body, "new too\n", 'the new code again, not the newer one');
};

done_testing();
