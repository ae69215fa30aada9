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

done_testing();
