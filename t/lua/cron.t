# server:cron: jobs by the clock, once for the whole server, whatever becomes of the workers.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
$NOTE
server:cron("* * * * * *", function(server) note("beat", server.worker_id, luaserv.role) end)
server:cron("*/2 * * * * *", function() note("second") end)
server:cron("0 0 1 1 *", function() note("new year") end)
server:cron("* * * * * *", function() error("no luck") end)
server:on("receive", function() end)
server:on("task", function() end)
server:start()
LUA

sub beats ($server) { return scalar grep { /^beat/ } $server->notes }

matrix 'once for all workers' => sub ($mode) {
	my $server = start_server(app => $app, settings => { worker_num => 3, task_worker_num => 1, worker_max_deaths => 1000 })->expect_crash;
	my $start = time;

	ok(wait_for(sub { beats($server) >= 2 }), 'it beats');
	my @pids = $server->worker_pids;
	my ($worker) = ($server->notes)[-1] =~ /(\d)/ ? 0 : 0;
	kill KILL => $_ for @pids[ 0, 1 ];
	my $n = beats($server);
	ok(wait_for(sub { beats($server) >= $n + 2 }), 'also when workers have died');
	is(($server->reload)[0], 0, 'a reload');
	$n = beats($server);
	ok(wait_for(sub { beats($server) >= $n + 2 }), 'and after a reload');
	my $seconds = time - $start + 1;
	cmp_ok(beats($server), '<=', $seconds, "not more often than once a second in $seconds s");
	cmp_ok(scalar(grep { $_ eq 'second' } $server->notes), '<=', int($seconds / 2) + 1, 'nor every two');
	is(scalar(grep { /^beat/ && !/worker$/ } $server->notes), 0, 'only in workers');
	is(scalar(grep { /new year/ } $server->notes), 0, 'and nothing else') if (localtime)[7] > 0;
	like($server->log, qr/the cron job "\* \* \* \* \* \*" failed: .*no luck/, 'an error is logged');
};

matrix 'what cannot be read is refused' => sub ($mode) {
	my %cases = (
		'61 * * * *' => '"61" is none of the minutes, which are 0 to 59',
		'* * *' => '5 fields are expected',
		'* * * foo *' => '"foo" is none of the months',
		'5-1 * * * *' => '"5-1" in the minutes names nothing',
		'*/0 * * * *' => '"*/0" in the minutes names nothing',
		'' => '5 fields are expected',
	);

	for my $spec (sort keys %cases) {
		my ($server, $code, $out, $err) = check_app("local s = require 'luaserv'.server('127.0.0.1', \$PORT) s:cron('$spec', print) s:on('receive', print) s:start()");
		is($code, 1, "\"$spec\" is refused");
		like($err, qr/\Qserver:cron: "$spec": $cases{$spec}\E/, 'and why');
	}
	my (undef, $code) = check_app("local s = require 'luaserv'.server('127.0.0.1', \$PORT) for _, c in ipairs { '\@daily', '1,5-9/2 */3 1 jan,mar mon-fri', "
		. "'30 * * * * 7' } do s:cron(c, print) end s:on('receive', print) s:start()");
	is($code, 0, 'others are understood');
};
done_testing();
