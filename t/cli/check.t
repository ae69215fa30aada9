use lib 't/lib';
use Test::Luaserv;

# check needs no running server and leaves none behind, so one mode is as good as the other.
matrix 'check tells what would listen' => sub ($mode) {
	my ($server, $code, $out, $err) = check_app(<<'LUA');
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
local port = server:listen("127.0.0.1", $PORT_2, "tcp")
port:set { protocol = "eof", package_eof = "\n" }
port:on("receive", function() end)
server:start()
LUA
	is($code, 0, 'exit code') or diag($out, $err);
	my ($first, $second) = ($server->port, $server->port(2));
	like($out, qr/\bhttp on 127\.0\.0\.1:$first\b/, 'the first port');
	like($out, qr/\beof on 127\.0\.0\.1:$second\b/, 'the second port');
	ok(!eval { $server->client }, 'nobody listens');
};

matrix 'an app that is one function is an HTTP app on port 8080' => sub ($mode) {
	my ($server, $code, $out, $err) = check_app(qq{return function(req, res) res:finish("hello\\n") end\n});

	is($code, 0, 'exit code') or diag($out, $err);
	like($out, qr/\bhttp on \S+:8080\b/, 'what would listen');
};

my $new = 'local s = require "luaserv".http("127.0.0.1", 4000)' . "\n";

matrix 'what is wrong is said with its place' => sub ($mode) {
	my %cases = (
		'syntax' => [ "local x = = 1\n", qr/app\.lua:1/ ],
		'run time' => [ "local x\nx.y = 1\n", qr/app\.lua:2/ ],
		'setting' => [ $new . "s:set { worker_nun = 1 }\ns:start()\n", qr/worker_nun.*worker_num/s ],
		'range' => [ $new . "s:set { worker_num = 100000 }\ns:start()\n", qr/worker_num.*100000.*1024/s ],
		'no handler' => [ $new . "s:start()\n", qr/4000.*request/s ],
		'no start' => [ $new, qr/start/ ],
		'exit' => [ "os.exit(3)\n", qr/./ ],
	);

	for my $what (sort keys %cases) {
		my ($server, $code, $out, $err) = check_app($cases{$what}[0]);
		is($code, 1, "$what: exit code") or diag($out, $err);
		like($err, $cases{$what}[1], "$what: message");
	}
};

matrix 'a script that does not end is stopped' => sub ($mode) {
	my ($server, $code, $out, $err) = check_app("while true do end\n", args => [ '-o', 'eval_timeout=300ms' ]);

	is($code, 1, 'exit code');
	like($err, qr/eval_timeout|300 ?ms|0\.3|too long|did not end/, 'message');
};

done_testing();
