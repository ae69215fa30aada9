-- coroutine.* that knows the scheduler.
--
-- A function of the runtime that waits may be called in a coroutine that the app made inside a task.  It then yields
-- the sentinel; resume and wrap pass it outward until the scheduler has it, and bring back in what woke the task.
local co = {
	sentinel = {}, -- first value of every yield that is the runtime's; the scheduler knows it
	-- Coroutines that nobody else may resume now: tasks, and those that wait.
	foreign = setmetatable({}, { __mode = "k" }),
	pass = coroutine.yield, -- replaced by the scheduler with one that says why it cannot wait
}

local resume, create, status = coroutine.resume, coroutine.create, coroutine.status
local sentinel, foreign = co.sentinel, co.foreign

local settle

-- Waits for whoever wakes the task, and goes on in `thread` with what it gives.
local function go_on(thread, ...)
	foreign[thread] = nil
	return settle(thread, resume(thread, ...))
end

function settle(thread, ok, first, ...)
	if first ~= sentinel or not ok then
		return ok, first, ...
	end
	foreign[thread] = true
	return go_on(thread, co.pass())
end

local function give(ok, ...)
	if not ok then
		error((...), 0)
	end
	return ...
end

function coroutine.resume(thread, ...)
	if foreign[thread] then
		return false, "cannot resume non-suspended coroutine"
	end
	return settle(thread, resume(thread, ...))
end

function coroutine.wrap(fn)
	local thread = create(fn)
	return function(...)
		if foreign[thread] then
			error("cannot resume non-suspended coroutine", 2)
		end
		return give(settle(thread, resume(thread, ...)))
	end
end

-- One that waits for the runtime is not suspended for the app: it goes on by itself.
function coroutine.status(thread)
	local text = status(thread)
	if text == "suspended" and foreign[thread] then
		return "normal"
	end
	return text
end

return co
