use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local code, reason = req.path:match("^/(%d+)/?(.*)$")
	if not code then return res:redirect("/elsewhere?a=b", tonumber(req.query.code)) end
	res:status(tonumber(code), reason ~= "" and reason or nil)
	res:finish("body\n")
end)
server:start()
LUA

matrix 'codes carry their registered phrase' => sub ($mode) {
	my $client = start_server(app => $app)->client;
	my %phrases = (200 => 'OK', 201 => 'Created', 202 => 'Accepted', 206 => 'Partial Content', 301 => 'Moved Permanently',
		302 => 'Found', 400 => 'Bad Request', 401 => 'Unauthorized', 403 => 'Forbidden', 404 => 'Not Found',
		405 => 'Method Not Allowed', 409 => 'Conflict', 418 => undef, 429 => 'Too Many Requests',
		500 => 'Internal Server Error', 503 => 'Service Unavailable', 599 => undef);

	for my $code (sort keys %phrases) {
		my $answer = $client->get("/$code");
		is($answer->status, $code, "status $code");
		is($answer->reason, $phrases{$code}, "$code: phrase") if defined $phrases{$code};
		is($answer->body, "body\n", "$code: body");
	}
	is($client->get('/299/Fine-enough')->reason, 'Fine-enough', 'a reason of one\'s own');
};

matrix '204 and 304 have no body' => sub ($mode) {
	my $client = start_server(app => $app)->client;

	for my $code (204, 304) {
		my $answer = $client->get("/$code");
		is($answer->status, $code, "status $code");
		is($client->unread, '', "$code: no byte of a body");
		is($client->get('/200')->body, "body\n", 'the next answer is whole');
	}
	is($client->get('/204')->header('content-length'), undef, '204 has no length');
};

matrix 'redirects' => sub ($mode) {
	my $client = start_server(app => $app)->client;
	my $answer = $client->get('/go');

	is($answer->status, 302, 'found');
	is($answer->header('location'), '/elsewhere?a=b', 'where');
	is($client->get('/go?code=308')->status, 308, 'with a code');
};

done_testing();
