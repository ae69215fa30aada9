# luaserv.router: methods, parameters, groups, middleware, mounts, and what finds no route.
use v5.36;
use lib 't/lib';
use Test::Luaserv;

my $app = <<'LUA';
local luaserv = require "luaserv"
local router = require "luaserv.router"
local server = luaserv.http("127.0.0.1", $PORT)
local top, admin = router.new(), router.new()

local function say(text)
	return function(_, res, params)
		local names = {}
		for name, value in pairs(params) do names[#names + 1] = name .. "=" .. value end
		table.sort(names)
		res:finish(text .. " " .. table.concat(names, ",") .. "\n")
	end
end

top:use(function(req, res, next)
	res:header("x-top", "seen")
	return next()
end)
top:get("/", say "root")
top:get("/users/me", say "me")
top:get("/users/:id", say "user")
top:delete("/users/:id", say "gone")
top:get("/users/:user/posts/:post", say "post")
top:get("/users/me/posts", say "my posts")
top:get("/files/*path", say "file")
top:any("/any", say "any")
top:get("/guarded", function(req, res, next)
	if req:header "token" == "yes" then return next() end
	res:status(403):finish "no\n"
end, say "inside")
top:group("/api", function(api)
	api:use(function(_, res, next, params)
		res:header("x-api", params.id or "none")
		return next()
	end)
	api:get("/items/:id", say "item")
	api:group("/deep", function(deep) deep:post("/", say "deep") end)
end)
admin:get("/", say "admin")
top:mount("/admin", admin)
for i = 1, 2000 do top:get("/many/" .. i .. "/:x", say("many" .. i)) end
server:on("request", top:handler())
server:start()
LUA

sub ask ($server, $method, $path, %o) { return $server->client->request($method, $path, close => 1, %o) }

matrix 'a request finds its route' => sub ($mode) {
	my $server = start_server(app => $app);
	my @cases = (
		[ GET => '/', 200, "root \n" ],
		[ GET => '/users/me', 200, "me \n" ],
		[ GET => '/users/7', 200, "user id=7\n" ],
		[ DELETE => '/users/me', 200, "gone id=me\n" ],
		[ GET => '/users/me/posts', 200, "my posts \n" ],
		[ GET => '/users/me/posts/3', 200, "post post=3,user=me\n" ],
		[ GET => '/users/a%20b', 200, "user id=a b\n" ],
		[ GET => '/users/7?x=1', 200, "user id=7\n" ],
		[ GET => '/files/a/b.txt', 200, "file path=a/b.txt\n" ],
		[ GET => '/files/', 200, "file path=\n" ],
		[ PATCH => '/any', 200, "any \n" ],
		[ GET => '/api/items/9', 200, "item id=9\n" ],
		[ POST => '/api/deep/', 200, "deep \n" ],
		[ GET => '/admin/', 200, "admin \n" ],
		[ GET => '/many/1999/z', 200, "many1999 x=z\n" ],
		[ HEAD => '/users/me', 200, '' ],
		[ GET => '/users/', 404, "not found\n" ],
		[ GET => '/users', 404, "not found\n" ],
		[ GET => '/users/7/', 404, "not found\n" ],
		[ GET => '/admin', 404, "not found\n" ],
		[ POST => '/users/7', 405, "method not allowed\n" ],
		[ OPTIONS => '/users/7', 204, '' ],
	);

	for my $case (@cases) {
		my ($method, $path, $status, $body) = @$case;
		my $response = ask($server, $method, $path, $method eq 'POST' ? (body => '') : ());
		is($response->status . ' ' . $response->body, "$status $body", "$method $path");
		is($response->header('x-top'), 'seen', '  through the middleware at the top');
	}
};

matrix 'Allow, middleware and its order' => sub ($mode) {
	my $server = start_server(app => $app);

	is(ask($server, 'PUT', '/users/me', body => '')->header('allow'), 'DELETE, GET, HEAD, OPTIONS', 'all that fit the path are allowed');
	is(ask($server, 'OPTIONS', '/users/7/posts/1')->header('allow'), 'GET, HEAD, OPTIONS', 'also for OPTIONS');
	is(ask($server, 'GET', '/guarded')->body, "no\n", 'middleware may answer itself');
	is(ask($server, 'GET', '/guarded', headers => 'Token: yes')->body, "inside \n", 'or go on');
	is(ask($server, 'GET', '/api/items/5')->header('x-api'), '5', 'that of a group sees the parameters');
	is(ask($server, 'GET', '/users/me')->header('x-api'), undef, 'and runs for the group alone');
};

my %mistakes = (
	'r:get("/a/:x", f) r:get("/a/:y", f)' => 'GET /a/:y is there twice, the first time as /a/:x',
	'r:get("a", f)' => 'the pattern "a" does not begin with a slash',
	'r:get("/a")' => 'GET /a has no handler',
	'r:get("/a", 1)' => 'GET /a: a function is expected, not a number',
	'r:get("/*rest/b", f)' => 'takes the rest of the path, so nothing can follow it',
	'r:get("/:1", f)' => '":1" in /:1 is no name of a parameter',
	'r:route("get", "/", f)' => '"get" is no method',
	'r:mount("/x/", require "luaserv.router".new())' => '"/x/" is no prefix',
	'local o = require "luaserv.router".new() o:mount("/b", r) r:mount("/a", o)' => 'a router is mounted below itself',
	'r:handler() r:get("/", f)' => 'the router is in use already',
);

for my $mistake (sort keys %mistakes) {
	my ($server, $code, undef, $err) = check_app("local s = require 'luaserv'.http('127.0.0.1', \$PORT) local r = require 'luaserv.router'.new() local function f() end $mistake s:on('request', r:handler()) s:start()");
	is($code, 1, "refused: $mistake");
	like($err, qr/\Q$mistakes{$mistake}\E/, '  and why');
}

done_testing();
