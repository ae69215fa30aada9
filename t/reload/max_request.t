use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish("ok\n") end)
server:start()
LUA

matrix 'workers are replaced after max_request, and no request is lost' => sub ($mode) {
	my $server = start_server(app => $app,
		settings => { worker_num => 2, max_request => 300, max_request_grace => 0 });
	my @before = $server->worker_pids;
	my $load = $server->load(20);

	ok($load->wait_ok(3000, 30), 'three thousand requests are answered');
	my $result = $load->stop;
	is($result->{failed}, 0, 'none failed') or diag(explain($result));
	is_deeply([ keys %{ $result->{codes} } ], [200], 'every answer is a 200');
	my @after = $server->worker_pids;
	isnt("@after", "@before", 'workers were replaced');
	unlike($server->log, qr/^\S+ error /m, 'without an error in the log');
	is($server->status->{generation}, 1, 'it is no reload');
};

matrix 'a raw connection outlives the workers that leave by max_request', process => 'in base mode a connection lives in its worker', sub ($mode) {
	my $server = start_server(settings => { protocol => 'eof', package_eof => '\n', max_request => 5, max_request_grace => 0 }, app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, server.worker_pid .. " " .. data) end)
server:start()
LUA
	my $client = $server->client;
	my %pids;

	my $wrong = 0;
	my $several = wait_for(sub {
		my ($pid, $echo) = split ' ', $client->send("hello\n")->recv_until("\n");
		$pids{$pid}++;
		$wrong++ if $echo ne 'hello';
		return keys %pids > 2;
	}, 20);
	ok($several, 'three workers, one after the other, have answered on it');
	is($wrong, 0, 'and rightly');
};

done_testing();
