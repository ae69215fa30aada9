# req.server: Swoole's names of what is known about a request.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $WHERE)
server:on("request", function(req, res)
	local s = req.server
	local late = s.request_time_float - s.request_time
	res:write(("%s %s %s %s %s %s %s\n"):format(s.request_method, s.request_uri, s.path_info, tostring(s.query_string), s.server_protocol, s.remote_addr, s.server_port))
	res:finish(("%s %s %s\n"):format(tostring(late >= 0 and late < 1), tostring(s.remote_port == req.remote_port), tostring(s == req.server)))
end)
server:start()
LUA

matrix 'paths with and without escapes and queries' => sub ($mode) {
	my $server = start_server(app => $app =~ s/\$WHERE/\$PORT/r);
	my $port = $server->port;

	is($server->get('/plain')->body, "GET /plain /plain  HTTP/1.1 127.0.0.1 $port\ntrue true true\n", 'plain');
	is($server->get('/a%20b/%C3%A4?x=%20y')->body, "GET /a%20b/%C3%A4 /a b/\xc3\xa4 x=%20y HTTP/1.1 127.0.0.1 $port\ntrue true true\n",
		'escaped: request_uri is as it was sent, path_info is not');
	is($server->client->post('/p?q', 'body')->body, "POST /p /p q HTTP/1.1 127.0.0.1 $port\ntrue true true\n", 'POST');
};

matrix 'server_port is the real one where the kernel chose it' => sub ($mode) {
	my $server = start_server(app => $app =~ s/\$WHERE/0/r);
	my ($port) = $server->log =~ /serves http on 127\.0\.0\.1:(\d+)/;

	my $client = Test::Luaserv::Client->connect(port => $port);
	like($client->get('/')->body, qr/ 127\.0\.0\.1 $port$/m, 'in req.server');
};
done_testing();
