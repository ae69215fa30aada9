use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:set { max_request = 7, package_max_length = "3m" }
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

sub with_app {
	my $server = new_server();
	$server->write_app($app);
	return $server;
}

matrix 'settings explains every one' => sub ($mode) {
	my $server = with_app();
	my @names = slurp(repo_root() . '/src/conf/settings.def') =~ /^SETTING\(\w+, \w+(?:\(\w+\))?, (\w+),/mg;
	my ($code, $out) = $server->cli_bare('settings');

	is($code, 0, 'exit code');
	cmp_ok(scalar @names, '>', 50, 'settings.def was read');
	is_deeply([ grep { $out !~ /\b$_\b/ } @names ], [], 'all names are listed');
};

matrix 'settings NAME tells value, origin, range and meaning' => sub ($mode) {
	my $server = with_app();
	my ($code, $out, $err) = $server->cli_bare('settings', 'max_request', '-s', $server->app_path);

	is($code, 0, 'exit code') or diag($err);
	like($out, qr/max_request.*\b7\b/s, 'value');
	like($out, qr/script/, 'origin');
	like($out, qr/A worker is replaced/, 'meaning');

	($code, $out, $err) = $server->cli_bare('settings', 'max_reqest');
	isnt($code, 0, 'an unknown name: exit code');
	like($err, qr/max_reqest.*max_request/s, 'the nearest one');
};

matrix 'later layers win: file, environment, script, option' => sub ($mode) {
	my $server = new_server();
	my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:set { backlog = 300 }
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA
	my $ask = sub ($name) {
		my (undef, $out, $err) = $server->cli_bare('settings', $name, '-s', $server->app_path, '-c', '$ROOT/my.conf',
			'-o', 'send_timeout=400');
		return "$out$err";
	};

	$server->write_app($app);
	$server->write_files({ 'my.conf' => <<'LUA' });
return { backlog = 100, max_coroutine = 100, send_timeout = 100, http_max_headers = 50 }
LUA
	$server->{env} = { LUASERV_MAX_COROUTINE => 200, LUASERV_BACKLOG => 200 };
	like($ask->('http_max_headers'), qr/\b50\b/, 'the file over the built-in value');
	like($ask->('max_coroutine'), qr/\b200\b/, 'the environment over the file');
	like($ask->('backlog'), qr/\b300\b/, 'the script over the environment');
	like($ask->('send_timeout'), qr/\b400s\b/, 'the option over the file');
};

matrix 'the committed reference is what the binary prints' => sub ($mode) {
	my $server = new_server();
	my %files = (
		markdown => 'docs/reference/settings.md',
		conf => 'conf/luaserv.conf.example',
		lua => 'lua/luaserv/meta/settings.lua',
	);

	for my $format (sort keys %files) {
		my ($code, $out) = $server->cli_bare('settings', '--dump', $format);
		is($code, 0, "$format: exit code");
		is_string($out, slurp(repo_root() . "/$files{$format}"), "$format: the same");
	}
};

done_testing();
