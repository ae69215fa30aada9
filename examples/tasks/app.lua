-- Slow work in task workers: each request counts the words of a text, some requests several texts at once.
--
--   PORT=9506 luaserv -s examples/tasks/app.lua
--   curl -d 'one two two' http://127.0.0.1:9506/
--   curl -d $'one two\n\nthree four five' http://127.0.0.1:9506/all        texts are separated by empty lines
local luaserv = require "luaserv"

local server = luaserv.http(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 9506))

server:set { worker_num = 1, task_worker_num = 2, task_queue_max = 1000, task_timeout = "10s" }

server:on("request", function(req, res)
	if req.path == "/all" then
		local texts = {}
		for text in (req:body() .. "\n\n"):gmatch "(.-)\n\n+" do
			texts[#texts + 1] = text
		end
		local counts, failures = server:task_wait_multi(texts, 5)
		return res:json { counts = counts, failures = failures }
	end
	local words, message, code = server:task_wait(req:body(), 5)
	if words then
		return res:json(words)
	end
	res:status(code == luaserv.errors.queue_full and 503 or 500)
	res:finish(message .. "\n")
end)

-- Runs in a task worker, which may take its time: nobody else waits for it.
server:on("task", function(_, _, _, text)
	local words = {}
	for word in text:gmatch "%S+" do
		words[word] = (words[word] or 0) + 1
	end
	if not next(words) then
		error("there are no words", 0)
	end
	return words
end)

server:start()
