use lib 't/lib';
use Test::Luaserv;

sub version ($n) {
	return <<"LUA";
local server = require "luaserv".http("127.0.0.1", \$PORT)
server:on("request", function(req, res) res:finish("version $n\\n") end)
server:start()
LUA
}

matrix 'twenty reloads under load lose no request' => sub ($mode) {
	my $server = start_server(app => version(0), settings => { worker_num => 2 });
	my $load = $server->load(50);
	my $failed_reloads = 0;

	for my $n (1 .. 20) {
		$load->wait_ok(100) or fail("requests are answered before reload $n");
		my ($code, $out, $err) = $server->reload(app => version($n));
		next if $code == 0;
		$failed_reloads++;
		diag("reload $n: $code $out $err");
	}
	ok($load->wait_ok(100), 'requests are answered at the end');
	my $result = $load->stop;
	is($failed_reloads, 0, 'every reload was accepted');
	is($result->{failed}, 0, 'no request failed') or diag(explain($result));
	is_deeply([ keys %{ $result->{codes} } ], [200], 'every answer is a 200');
	is($server->get('/')->body, "version 20\n", 'the newest code serves');
	is($server->status->{generation}, 21, 'generations are counted');
	is(scalar @{ $server->status->{workers} }, 2, 'no worker of an old generation is left');
};

matrix 'new connections during reloads are served' => sub ($mode) {
	my $server = start_server(app => version(0), settings => { worker_num => 2 });
	my $load = $server->load(10, request => "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

	for my $n (1 .. 5) {
		$load->wait_ok(50);
		is(($server->reload(app => version($n)))[0], 0, "reload $n");
	}
	$load->wait_ok(50);
	my $result = $load->stop;
	is($result->{failed}, 0, 'no connection was refused or cut') or diag(explain($result));
};

matrix 'a request under way ends in the code it began in' => sub ($mode) {
	my $app = sub ($n) {
		return <<"LUA";
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", \$PORT)
\$NOTE
server:on("request", function(req, res)
	if req.path == "/slow" then note("inside") luaserv.sleep(0.4) end
	res:finish("version $n\\n")
end)
server:start()
LUA
	};
	my $server = start_server(app => $app->(1));
	my $client = $server->client;

	$client->send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
	$server->wait_notes(1);
	is(($server->reload(app => $app->(2)))[0], 0, 'reload');
	is($server->get('/')->body, "version 2\n", 'new requests see the new code');
	is($client->response->body, "version 1\n", 'the old one was not cut');
};

matrix 'SIGUSR1 reloads' => sub ($mode) {
	my $server = start_server(app => version(1));

	$server->write_app(version(2));
	kill USR1 => $server->pid;
	ok(wait_for(sub { $server->get('/')->body eq "version 2\n" }), 'the new code serves');
};

done_testing();
