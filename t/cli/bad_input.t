use lib 't/lib';
use Test::Luaserv;
use Socket;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

# What the command line says to bad input: the exit code, and one sentence on standard error. Only an error in
# Lua code may have its traceback below.
sub says ($what, $wanted, $pattern, $code, $out, $err) {
	is($code, $wanted, "$what: exit code");
	like($err, $pattern, "$what: message");
	like($err, qr/\A[^\n]+\n(?:stack traceback:\n(?:\t[^\n]+\n)+)?\z/, "$what: one line");
	is($out, '', "$what: nothing on standard output");
	return;
}

matrix 'bad options' => sub ($mode) {
	my $server = new_server();
	my @script = ('-s', $server->app_path);
	my @cases = (
		[ 'an unknown setting', 1, qr/worker_nun.*worker_num/, @script, '-o', 'worker_nun=1' ],
		[ 'a value out of range', 1, qr/worker_num.*5000.*1024/, @script, '-o', 'worker_num=5000' ],
		[ 'a value of another kind', 1, qr/worker_num.*many/, @script, '-o', 'worker_num=many' ],
		[ 'an unknown word', 1, qr/mode.*process/, @script, '-o', 'mode=proces' ],
		[ 'a time that is none', 1, qr/send_timeout.*soon/, @script, '-o', 'send_timeout=soon' ],
		[ 'no value', qr/[12]/, qr/worker_num/, @script, '-o', 'worker_num' ],
		[ 'a missing script', 1, qr/nowhere\.lua/, '-s', '$ROOT/nowhere.lua' ],
		[ 'a folder as script', 1, qr/\$?ROOT|servroot|directory/, '-s', '$ROOT' ],
		[ 'a missing conf file', 1, qr/nowhere\.conf/, @script, '-c', '$ROOT/nowhere.conf' ],
	);

	$server->write_app($app);
	for my $case (@cases) {
		my ($what, $code, $pattern, @args) = @$case;
		my @got = $server->cli_bare(@args);
		$code = $got[0] if ref $code && $got[0] =~ /\A$code\z/;
		says($what, $code, $pattern, @got);
	}
};

matrix 'wrong usage' => sub ($mode) {
	my $server = new_server();

	for my $line ('frobnicate', '--frobnicate', '-s', 'reload --frobnicate', 'settings --dump klingon') {
		my ($code, $out, $err) = $server->cli_bare(split ' ', $line);
		is($code, 2, "$line: exit code") or diag($out, $err);
		like($err, qr/\S/, "$line: message");
	}
	my ($code, undef, $err) = $server->cli_bare('relaod');
	like($err, qr/relaod.*reload/s, 'the nearest command is named');
	($code, my $out) = $server->cli_bare('version');
	is($code, 0, 'version');
	like($out, qr/\d+\.\d+/, 'its number');
	($code, $out) = $server->cli_bare('--help');
	is($code, 0, '--help');
	like($out, qr/reload/, 'names the commands');
};

matrix 'bad conf files' => sub ($mode) {
	my $server = new_server();
	my @cases = (
		[ 'syntax', qr/my\.conf:2/, "return {\n worker_num = = 4 }\n" ],
		[ 'no table', qr/my\.conf.*table/, "return 4\n" ],
		[ 'unknown setting', qr/my\.conf.*worker_nun.*worker_num/s, "return { worker_nun = 4 }\n" ],
		[ 'run time', qr/my\.conf:1/, "return { worker_num = nothing.at.all }\n" ],
		[ 'input and output', qr/my\.conf:1/, "io.open('/etc/passwd') return {}\n" ],
	);

	$server->write_app($app);
	for my $case (@cases) {
		my ($what, $pattern, $text) = @$case;
		$server->write_files({ 'my.conf' => $text });
		says($what, 1, $pattern, $server->cli_bare('-s', $server->app_path, '-c', '$ROOT/my.conf'));
	}
};

matrix 'scripts that make no server' => sub ($mode) {
	my %cases = (
		'returns nothing' => [ "local x = 1\n", qr/app\.lua/ ],
		'returns a number' => [ "return 42\n", qr/app\.lua/ ],
		'forgets start' => [ qq{local s = require "luaserv".http("127.0.0.1", \$PORT)\n}, qr/start/ ],
	);

	for my $what (sort keys %cases) {
		my $server = new_server();
		$server->write_app($cases{$what}[0]);
		says($what, 1, $cases{$what}[1], $server->cli_bare('-s', $server->app_path));
	}
};

matrix 'a port in use' => sub ($mode) {
	my $server = new_server();
	my $port = $server->port;

	socket my $other, AF_INET, SOCK_STREAM, 0;
	bind $other, pack_sockaddr_in($port, INADDR_LOOPBACK) and listen $other, 1 or die "port $port: $!";
	$server->write_app($app);
	my @got = $server->cli_bare('-s', $server->app_path, '-o', "mode=$mode");
	says('port', 1, qr/\b$port\b.*(?:in use|already)/, @got);
};

done_testing();
