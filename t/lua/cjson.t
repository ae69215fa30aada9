use lib 't/lib';
use Test::Luaserv;

# lua-cjson is a C module of the distribution's: it finds lua_* in the executable.
my ($module) = grep { -e } glob '/usr/lib/*/lua/5.1/cjson.so /usr/lib/lua/5.1/cjson.so /usr/local/lib/lua/5.1/cjson.so';
if (!$module) {
	plan(skip_all => 'cjson.so is not installed');
}

matrix 'a C module of the distribution works' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local cjson = require "cjson"
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local fine, value = pcall(cjson.decode, req:body())
	if not fine then return res:status(400):finish("no JSON\n") end
	value.seen = true
	res:finish(cjson.encode { list = { 1, 2, 3 }, seen = value.seen, name = value.name })
end)
server:start()
LUA
	my $client = $server->client;
	my $answer = JSON::PP::decode_json($client->post('/', '{"name": "x"}')->body);

	is_deeply($answer->{list}, [ 1, 2, 3 ], 'encoded');
	is($answer->{name}, 'x', 'decoded');
	is($client->post('/', '{')->status, 400, 'its errors are Lua errors');
};

done_testing();
