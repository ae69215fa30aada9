-- Work that outlives the server: tasks wait in a System V queue, also while no server runs. Other programs put some
-- there, too.
--
--   PORT=9508 luaserv -s examples/queue/app.lua
--   curl -d 'from a request' http://127.0.0.1:9508/
--   python3 examples/queue/push.py 0x4c530001 'from Python'
--   luaserv task push -k 0x4c530001 'from the shell'
--   curl http://127.0.0.1:9508/                             what has been done
local luaserv = require "luaserv"

local server = luaserv.http(os.getenv "HOST" or "127.0.0.1", tonumber(os.getenv "PORT" or 9508))
local done = luaserv.dict("done", "1m")

server:set {
	worker_num = 1,
	task_worker_num = 2,
	task_ipc_mode = 3,
	message_queue_key = tonumber(os.getenv "QUEUE_KEY" or 0x4c530001),
}

server:on("request", function(req, res)
	if req.method ~= "POST" then
		return res:json { done = done:get("count") or 0, last = done:get("last") }
	end
	local id, message, code = server:task(req:body())
	res:status(id and 202 or code == luaserv.errors.queue_full and 503 or 500)
	res:finish(id and "it is queued\n" or message .. "\n")
end)

-- src_worker_id is -1 for what another program, or an earlier server, has put into the queue.
server:on("task", function(_, _, src_worker_id, letter)
	luaserv.log.info((src_worker_id < 0 and "from outside: " or "from a request: ") .. letter)
	done:set("last", letter)
	done:incr("count", 1, 0)
end)

server:start()
