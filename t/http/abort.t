# A client that leaves before it is answered: its handler is cancelled where http_cancel_on_abort says so.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:on("request", function(req, res)
	note("begun", req.path)
	luaserv.defer(function() note("ended", req.path) end)
	local fine, problem = pcall(luaserv.sleep, req.path == "/short" and 0.2 or 60)
	note(tostring(fine), fine and "-" or tostring(problem))
	if not fine then error(problem, 0) end
	res:finish("done\n")
end)
server:start()
LUA

sub begun ($server, $path, $method = 'GET', $body = '') {
	my $client = $server->client->send("$method $path HTTP/1.1\r\nHost: x\r\nContent-Length: " . length($body) . "\r\n\r\n$body");

	$server->wait_notes(1);
	return $client;
}

for my $how (qw(close shutdown abort)) {
	for my $method (qw(GET POST)) {
		matrix "$method, then $how" => sub ($mode) {
			my $server = start_server(app => $app, settings => { http_cancel_on_abort => 'true' });
			my $client = begun($server, '/long', $method, $method eq 'POST' ? 'body' : '');

			$client->$how;
			is_deeply([ $server->wait_notes(3) ], [ 'begun /long', 'false cancelled', 'ended /long' ], 'the handler is cancelled, and cleans up');
			unlike($server->log, qr/handler failed/, 'which is no error of the app');
			is($server->client->get('/short')->body, "done\n", 'others are served');
		};
	}
}

matrix 'without the setting' => sub ($mode) {
	my $server = start_server(app => $app);
	my $client = begun($server, '/short')->shutdown;

	is($client->response->body, "done\n", 'a client that shut its sending side gets its answer');
	begun($server, '/short')->close;
	is_deeply([ ($server->wait_notes(6))[ 3 .. 5 ] ], [ 'begun /short', 'true -', 'ended /short' ], 'and the handler of one that left goes on');
};

done_testing();
