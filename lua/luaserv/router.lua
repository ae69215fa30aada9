-- luaserv.router: which handler serves a method and a path.
--
-- Patterns form a tree with one level for each segment of the path, so finding a route costs as much as the path is
-- long, however many routes there are; a pattern without parameters is found by one look into a table.
local router = {}
router.__index = router

local find, sub = string.find, string.sub
local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH" }
local NONE = setmetatable({}, {
	__newindex = function()
		error("the parameters of this route are not there to be changed: it has none", 2)
	end,
})

local function check_functions(what, ...)
	for i = 1, select("#", ...) do
		if type((select(i, ...))) ~= "function" then
			error(("%s: a function is expected, not a %s"):format(what, type((select(i, ...)))), 3)
		end
	end
end

local function check_open(self, what)
	if self.handle then
		error(what .. ": the router is in use already; say everything before router:handler()", 3)
	end
end

-- ---- what a script says ------------------------------------------------------------------------------------------

function router.new()
	return setmetatable({ routes = {}, middleware = {}, parts = {} }, router)
end

-- Runs around every route of this router, and at the top also around what finds no route: fn(req, res, next, params).
function router:use(...)
	check_open(self, "router:use")
	check_functions("router:use", ...)
	for i = 1, select("#", ...) do
		self.middleware[#self.middleware + 1] = (select(i, ...))
	end
	return self
end

-- The last function is the handler, fn(req, res, params); those before it are middleware of this route alone.
function router:route(method, pattern, ...)
	check_open(self, "router:route")
	if type(method) ~= "string" or not find(method, "^[%u*-]+$") then
		error(("router:route: \"%s\" is no method; they are in capitals, * is any"):format(tostring(method)), 2)
	end
	if type(pattern) ~= "string" or sub(pattern, 1, 1) ~= "/" then
		error(("router:route: the pattern \"%s\" does not begin with a slash"):format(tostring(pattern)), 2)
	end
	if select("#", ...) == 0 then
		error(("router:route: %s %s has no handler"):format(method, pattern), 2)
	end
	check_functions(("router:route: %s %s"):format(method, pattern), ...)
	self.routes[#self.routes + 1] = { method = method, pattern = pattern, chain = { ... } }
	return self
end

for _, method in ipairs(METHODS) do
	router[method:lower()] = function(self, pattern, ...)
		return self:route(method, pattern, ...)
	end
end

function router:any(pattern, ...)
	return self:route("*", pattern, ...)
end

-- Another router's routes, with its middleware, below a prefix.
function router:mount(prefix, other)
	check_open(self, "router:mount")
	if type(prefix) ~= "string" or not (prefix == "" or find(prefix, "^/.*[^/]$")) then
		error(("router:mount: \"%s\" is no prefix such as /api"):format(tostring(prefix)), 2)
	end
	if getmetatable(other) ~= router or other == self then
		error("router:mount: another router is expected", 2)
	end
	self.parts[#self.parts + 1] = { prefix = prefix, router = other }
	return self
end

-- A router made on the spot: fn(group) says what is in it.
function router:group(prefix, fn)
	local group = router.new()
	self:mount(prefix, group)
	fn(group)
	return self
end

function router:not_found(fn)
	check_open(self, "router:not_found")
	check_functions("router:not_found", fn)
	self.when_not_found = fn
	return self
end

-- ---- the tree ----------------------------------------------------------------------------------------------------

local function new_node()
	return { static = {} }
end

local function child_for(node, segment, names, pattern, last)
	local kind, name = segment:match "^([:*])(.*)$"
	if not kind then
		node.static[segment] = node.static[segment] or new_node()
		return node.static[segment]
	end
	if not find(name, "^[%a_][%w_]*$") then
		error(("router: \"%s\" in %s is no name of a parameter"):format(segment, pattern), 0)
	end
	if kind == "*" and not last then
		error(("router: %s in %s takes the rest of the path, so nothing can follow it"):format(segment, pattern), 0)
	end
	names[#names + 1] = name
	local key = kind == "*" and "rest" or "param"
	node[key] = node[key] or new_node()
	return node[key]
end

-- What the pattern's node serves by method, if nothing in the pattern varies.
local function insert(root, method, pattern, chain)
	local node, names, at = root, {}, 2
	repeat
		local slash = find(pattern, "/", at, true)
		node = child_for(node, sub(pattern, at, slash and slash - 1), names, pattern, not slash)
		at = slash and slash + 1
	until not at
	node.routes = node.routes or {}
	if node.routes[method] then
		error(("router: %s %s is there twice, the first time as %s"):format(method, pattern, node.routes[method].pattern), 0)
	end
	node.routes[method] = { pattern = pattern, chain = chain, names = names }
	return #names == 0 and node.routes or nil
end

-- HEAD is GET without the body (RFC 9110 §9.3.2); the server leaves the body out.
local function pick(routes, method)
	return routes[method] or method == "HEAD" and routes.GET or routes["*"]
end

-- Depth first, the more exact first.  Every node is seen at most once: a node has one parent.
local function search(node, method, path, at, values, n, allowed)
	if not at then
		local routes = node.routes
		local route = routes and pick(routes, method)
		if routes and not route then
			for name in pairs(routes) do
				allowed[name] = true
			end
		end
		return route
	end
	local slash = find(path, "/", at, true)
	local segment = sub(path, at, slash and slash - 1)
	local next_at = slash and slash + 1
	local child = node.static[segment]
	local route = child and search(child, method, path, next_at, values, n, allowed)
	if not route and node.param and segment ~= "" then
		values[n + 1] = segment
		route = search(node.param, method, path, next_at, values, n + 1, allowed)
	end
	if not route and node.rest then
		values[n + 1] = sub(path, at)
		route = search(node.rest, method, path, nil, values, n + 1, allowed)
	end
	return route
end

-- ---- what is made of it ------------------------------------------------------------------------------------------

local function joined(first, second)
	local all = {}
	for _, list in ipairs { first, second } do
		for _, fn in ipairs(list) do
			all[#all + 1] = fn
		end
	end
	return all
end

local function collect(self, prefix, middleware, routes, seen)
	if seen[self] then
		error("router:mount: a router is mounted below itself", 0)
	end
	seen[self] = true
	local around = joined(middleware, self.middleware)
	for _, route in ipairs(self.routes) do
		local pattern = prefix .. route.pattern
		routes[#routes + 1] = { method = route.method, pattern = pattern, chain = joined(around, route.chain) }
	end
	for _, part in ipairs(self.parts) do
		collect(part.router, prefix .. part.prefix, around, routes, seen)
	end
	seen[self] = nil
end

local function run(chain, i, req, res, params)
	local fn = chain[i]
	if not chain[i + 1] then
		return fn(req, res, params)
	end
	return fn(req, res, function()
		return run(chain, i + 1, req, res, params)
	end, params)
end

local function answer_not_found(_, res)
	return res:status(404):header("content-type", "text/plain; charset=utf-8"):finish "not found\n"
end

-- The path is there, the method is not: 405 with Allow (RFC 9110 §15.5.6); OPTIONS asks just that (§9.3.7).
local function answer_allowed(req, res, allowed)
	allowed.OPTIONS = true
	allowed.HEAD = allowed.HEAD or allowed.GET
	local names = {}
	for name in pairs(allowed) do
		names[#names + 1] = name
	end
	table.sort(names)
	res:header("allow", table.concat(names, ", "))
	if req.method == "OPTIONS" then
		return res:status(204):finish()
	end
	return res:status(405):header("content-type", "text/plain; charset=utf-8"):finish "method not allowed\n"
end

local function params_of(route, values)
	local params = {}
	for i, name in ipairs(route.names) do
		params[name] = values[i]
	end
	return params
end

-- For server:on("request", …).  From here on the router does not change.
function router:handler()
	if self.handle then
		return self.handle
	end
	local root, exact, routes = new_node(), {}, {}
	collect(self, "", {}, routes, {})
	for _, entry in ipairs(routes) do
		exact[entry.pattern] = insert(root, entry.method, entry.pattern, entry.chain)
	end
	local missing = joined(self.middleware, { self.when_not_found or answer_not_found })

	self.handle = function(req, res)
		local method, path = req.method, req.path
		local known = exact[path]
		local route = known and pick(known, method)
		if route then
			return run(route.chain, 1, req, res, NONE)
		end
		local values, allowed = {}, {}
		route = sub(path, 1, 1) == "/" and search(root, method, path, 2, values, 0, allowed)
		if route then
			return run(route.chain, 1, req, res, params_of(route, values))
		end
		if next(allowed) then
			return run(joined(self.middleware, { function(asked, response)
				return answer_allowed(asked, response, allowed)
			end }), 1, req, res, NONE)
		end
		return run(missing, 1, req, res, NONE)
	end
	return self.handle
end

return router
