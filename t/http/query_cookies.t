use lib 't/lib';
use Test::Luaserv;
run_tests();
__DATA__

=== the query is decoded
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local q = req.query
	res:write(tostring(q.a) .. "|" .. tostring(q.b) .. "|" .. tostring(q.c) .. "|" .. tostring(q.d) .. "|"
		.. tostring(q["e f"]) .. "|" .. tostring(q.none) .. "\n")
	res:finish(req.query_string .. " " .. tostring(req.get == req.query) .. "\n")
end)
server:start()
--- request
GET /?a=1&b=x%20y+z&c=&d&e%20f=%C3%A4%2
--- response_body eval
"1|x y z|||\xc3\xa4%2|nil\na=1&b=x%20y+z&c=&d&e%20f=%C3%A4%2 true\n"

=== no query
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(tostring(next(req.query)) .. " " .. tostring(next(req.cookies)) .. "\n") end)
server:start()
--- request
GET /
--- response_body
nil nil

=== cookies come by name
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local c = req.cookies
	res:finish(tostring(c.sid) .. "|" .. tostring(c.theme) .. "|" .. tostring(c.empty) .. "|" .. tostring(c.none) .. "\n")
end)
server:start()
--- request
GET /
--- more_headers
Cookie: sid=abc123; theme=a=b;empty=; junk
--- response_body
abc123|a=b||nil

=== a form is decoded
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res) res:finish(tostring(req.form.a) .. "|" .. tostring(req.form.b) .. "\n") end)
server:start()
--- request
POST /
a=1+2&b=%26
--- more_headers
Content-Type: application/x-www-form-urlencoded
--- response_body
1 2|&

=== cookies are set with their attributes
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	res:cookie { name = "sid", value = "abc", path = "/", max_age = 60, http_only = true, secure = true,
		same_site = "Lax" }
	res:cookie { name = "other", value = "1" }
	res:finish("ok\n")
end)
server:start()
--- request
GET /
--- raw_response_headers_like eval
[map { qr/^Set-Cookie: $_/mi } 'sid=abc;(?=.*Path=\/)(?=.*Max-Age=60)(?=.*HttpOnly)(?=.*Secure)(?=.*SameSite=Lax)',
	'other=1\r']

=== JSON both ways
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local value = req:json()
	res:json { sum = value.a + value.b, name = value.name }
end)
server:start()
--- request
POST /
{"a": 1, "b": 2, "name": "ä\n"}
--- response_body_like eval
qr/\A\{(?=.*"sum": ?3\b)(?=.*"name": ?"(?:\xc3\xa4|\\u00e4)\\n").*\}\n?\z/
--- response_headers_like
Content-Type: application/json.*

=== cookies that browsers would not keep are refused
--- app
local server = require "luaserv".http("127.0.0.1", $PORT)
server:on("request", function(req, res)
	local out = {}
	local function try(cookie)
		cookie.name = cookie.name or "a"
		local fine, problem = pcall(res.cookie, res, cookie)
		out[#out + 1] = fine and "fine" or problem:gsub("^.-res:cookie: ", "")
	end
	try { same_site = "none" }
	try { same_site = "none", secure = true }
	try { same_site = "often" }
	try { priority = "highest" }
	try { priority = "High", partitioned = true }
	try { priority = "High", partitioned = true, secure = true }
	try { name = "__Secure-a" }
	try { name = "__Secure-a", secure = true }
	try { name = "__Host-a", secure = true }
	try { name = "__Host-a", secure = true, path = "/", domain = "x" }
	try { name = "__Host-a", secure = true, path = "/" }
	try { path = "/; HttpOnly" }
	try { domain = "a\r\nb" }
	res:finish(table.concat(out, "\n") .. "\n")
end)
server:start()
--- request
GET /
--- response_body
same_site None needs secure
fine
same_site is Strict, Lax or None
priority is Low, Medium or High
partitioned needs secure
fine
a name that begins with __Secure- needs secure
fine
a name that begins with __Host- needs secure, path = "/" and no domain
a name that begins with __Host- needs secure, path = "/" and no domain
fine
path has a character that an attribute cannot hold
domain has a character that an attribute cannot hold
--- raw_response_headers_like eval
[qr/^Set-Cookie: a=; Secure; Priority=High; Partitioned\r$/mi, qr/^Set-Cookie: __Host-a=; Path=\/; Secure\r$/mi]
