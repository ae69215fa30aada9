-- A small site: files of a folder, routes with parameters and middleware, a form with a picture.
--
--   PORT=8083 luaserv -s examples/web/app.lua       then open http://127.0.0.1:8083/
local luaserv = require "luaserv"
local router = require "luaserv.router"

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local server = luaserv.http(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 8083))
local notes = luaserv.dict("notes", "1m") -- shared by all workers, and kept over reloads
local last = luaserv.atomic "last note"

server:set {
	document_root = here .. "/public", -- what is no file there goes to the routes
	static_cache_control = "max-age=60",
	upload_max_size = "8m",
}

local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function html(text)
	return (text:gsub('[&<>"]', escapes))
end

local app = router.new()

app:use(function(_, res, next)
	res:header("x-content-type-options", "nosniff")
	next()
end)

app:get("/hello/:name", function(_, res, params)
	res:finish("<p>Hello, " .. html(params.name) .. "!\n")
end)

app:group("/api/notes", function(api)
	api:get("/:id", function(_, res, params)
		local text = notes:get(params.id)
		if not text then
			return res:status(404):json { message = "there is no such note" }
		end
		res:json { id = tonumber(params.id), text = text }
	end)
	api:post("/", function(req, res)
		local text = req.form.text
		if type(text) ~= "string" or #text == 0 then
			return res:status(400):json { message = "text is missing" }
		end
		local id = last:add(1)
		assert(notes:set(tostring(id), text))
		res:status(201):header("location", "/api/notes/" .. id):json { id = id, text = text }
	end)
end)

app:post("/upload", function(req, res)
	local file = req.files.picture
	if not file or file.error ~= 0 then
		return res:status(400):finish("Choose a picture first.\n")
	end
	-- Here it would be moved to where it belongs; luaserv removes it otherwise.
	res:finish(("<p>%s is %d bytes of %s.\n"):format(html(file.name), file.size, html(file.type)))
end)

server:on("request", app:handler())
server:start()
