# user, group and chroot: what root gives up when it starts the server, and that it does not start when it cannot.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

plan(skip_all => 'Only root can give up privileges.') if $> != 0;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local status = io.open("/proc/self/status")
	res:finish(tostring(io.open("/etc/shadow") ~= nil) .. " " .. tostring(status ~= nil) .. "\n")
end)
server:start()
LUA

sub ids ($pid) {
	my $status = slurp("/proc/$pid/status");
	return map { $status =~ /^$_:\s+(.*?)\s*$/m } qw(Uid Gid Groups);
}

matrix 'every process is the user\'s' => sub ($mode) {
	my ($uid, $gid) = (getpwnam 'nobody')[ 2, 3 ];
	my $server = new_server(mode => $mode);

	chmod 0777, $server->root, $server->root . '/logs';
	ok($server->start(app => $app, settings => { user => 'nobody' }), 'it starts');
	for my $pid ($server->pid, $server->worker_pids) {
		my @ids = ids($pid);
		is($ids[0], join("\t", ($uid) x 4), 'uid');
		is($ids[1], join("\t", ($gid) x 4), 'gid of the user');
		is($ids[2], $gid, 'no group of root\'s is left');
	}
	is($server->get('/')->body, "false true\n", 'it serves');
	is($server->stop, 0, 'and stops');
};

matrix 'a group of its own, and another root' => sub ($mode) {
	my $gid = getgrnam 'daemon';
	my $server = new_server(mode => $mode);

	chmod 0777, $server->root, $server->root . '/logs';
	ok($server->start(app => $app, settings => { user => 'nobody', group => 'daemon', chroot => '/' }), 'it starts');
	my ($worker) = $server->worker_pids;
	is((ids($worker))[1], join("\t", ($gid) x 4), 'the group');
	is($server->get('/')->body, "false true\n", 'it serves');
};

matrix 'what cannot be given up ends the start' => sub ($mode) {
	for my $case (
		[ { user => 'no-such-user' }, qr/no-such-user/ ],
		[ { group => 'no-such-group' }, qr/no-such-group/ ],
		[ { chroot => '/no/such/folder' }, qr{/no/such/folder} ],
		[ { chroot => '/tmp' }, qr{no child could be started inside /tmp: it holds no /proc} ],
	) {
		my $server = new_server(mode => $mode);
		ok(!$server->start(app => $app, settings => $case->[0]), join ' ', %{ $case->[0] });
		like($server->complaint, $case->[1], 'and says why');
	}
};
done_testing();
