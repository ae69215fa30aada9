# What Swoole mends or overlooks in silence is refused before anything listens, with the reason.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

sub refused ($mode, $what, $pattern, $app) {
	my ($server, $code, $out, $err) = check_app($app, args => [ '-o', "mode=$mode" ]);

	is($code, 1, "$what: exit code");
	like($err, $pattern, "$what: message");
	return;
}

my $head = 'local luaserv = require "luaserv" local s = luaserv.server("127.0.0.1", 4000)' . "\n" . 's:on("receive", function() end)' . "\n";

matrix 'settings of a port' => sub ($mode) {
	my %cases = (
		'two protocols' => [ 'open_eof_check = true, open_length_check = true', qr/open_eof_check and open_length_check are both on/ ],
		'protocol and another name' => [ 'protocol = "length", open_eof_split = true', qr/protocol is length, but open_eof_split is on/ ],
		'an empty delimiter' => [ 'protocol = "eof", package_eof = ""', qr/package_eof.*1 to 8/ ],
		'a long delimiter' => [ 'protocol = "eof", package_eof = "123456789"', qr/package_eof.*1 to 8/ ],
		'a length type that is none' => [ 'protocol = "length", package_length_type = "X"', qr/package_length_type.*"X"/ ],
		'a field behind the longest message' => [ 'protocol = "length", package_length_offset = 100, package_max_length = 50', qr/ends at 104/ ],
		'watermarks the wrong way round' => [ 'buffer_low_watermark = 2000, buffer_high_watermark = 1000', qr/buffer_low_watermark.*less than/ ],
		'a negative number' => [ 'backlog = -1', qr/backlog.*-1/ ],
		'a number that is too large' => [ 'backlog = 65536', qr/backlog.*65536.*65535/ ],
		'nobody who would confirm' => [ 'enable_delay_receive = true', qr/enable_delay_receive needs a "connect" handler/ ],
	);

	refused($mode, $_, $cases{$_}[1], "${head}s:set { $cases{$_}[0] } s:start()\n") for sort keys %cases;
};

matrix 'ports' => sub ($mode) {
	my %cases = (
		'port 65536' => [ 's:listen("127.0.0.1", 65536)', qr/port 65536 is out of range/ ],
		'port -1' => [ 's:listen("127.0.0.1", -1)', qr/port -1 is out of range/ ],
		'a type that is none' => [ 's:listen("127.0.0.1", 4001, "sctp")', qr/listener type "sctp" is not known/ ],
		'a host that is none' => [ 's:listen("300.0.0.1", 4001)', qr/300\.0\.0\.1/ ],
		'the same port twice' => [ 's:listen("127.0.0.1", 4000)', qr/port 4000.*opened twice/ ],
		'a second server' => [ 'luaserv.server("127.0.0.1", 4001)', qr/there is a server already/ ],
		'http without a handler' => [ 's:listen("127.0.0.1", 4001):set { protocol = "http" }', qr/registers no "request" handler/ ],
		'datagrams without a handler' => [ 's:listen("127.0.0.1", 4001, "udp")', qr/registers no "packet" handler/ ],
	);

	refused($mode, $_, $cases{$_}[1], "$head$cases{$_}[0]\ns:start()\n") for sort keys %cases;
};

matrix 'connect and close where no worker has the connection', process => 'dispatch_mode is of process mode', sub ($mode) {
	for my $dispatch (qw(round idle key 1 3 9)) {
		for my $event (qw(connect close)) {
			refused($mode, "$event with $dispatch", qr/has a "$event" handler, but with dispatch_mode \w+ .*so there is no "$event" event/,
				qq{${head}s:set { dispatch_mode = "$dispatch", dispatch_key = "bytes:0:1" } s:on("$event", function() end) s:start()\n});
		}
	}
};

matrix 'set, on and listen belong before start' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd)
	local texts = {}
	for _, call in ipairs { { "set", { backlog = 1 } }, { "on", "close", print }, { "listen", "127.0.0.1", 0 }, { "start" } } do
		texts[#texts + 1] = select(2, pcall(server[call[1]], server, unpack(call, 2)))
	end
	server:send(fd, table.concat(texts, "\n") .. "\n\n")
end)
server:start()
LUA
	my @lines = split /\n/, $server->client->send('x')->recv_until("\n\n");
	my $n = 0;

	like($lines[ $n++ ], qr/server:$_: the server has been started; this belongs before server:start\(\)/, $_) for qw(set on listen start);
};

done_testing();
