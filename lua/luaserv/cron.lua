-- server:cron(): jobs by the clock, once for the whole server.  Every worker looks at the clock; who is first to claim
-- a beat, by an atomic that all share, runs the job.  So it moves by itself when workers die, are replaced or are busy.
local co = require "luaserv.core.co"
local log = require "luaserv.core.log"
local state = require "luaserv.core.state"
local time = require "luaserv.core.time"

local MONTHS = {
	jan = 1,
	feb = 2,
	mar = 3,
	apr = 4,
	may = 5,
	jun = 6,
	jul = 7,
	aug = 8,
	sep = 9,
	oct = 10,
	nov = 11,
	dec = 12,
}
local DAYS = { sun = 0, mon = 1, tue = 2, wed = 3, thu = 4, fri = 5, sat = 6 }
local FIELDS = {
	{ name = "seconds", from = 0, to = 59 },
	{ name = "minutes", from = 0, to = 59 },
	{ name = "hours", from = 0, to = 23 },
	{ name = "days of the month", from = 1, to = 31 },
	{ name = "months", from = 1, to = 12, names = MONTHS },
	{ name = "days of the week", from = 0, to = 7, names = DAYS },
}
local SHORT = {
	["@yearly"] = "0 0 1 1 *",
	["@monthly"] = "0 0 1 * *",
	["@weekly"] = "0 0 * * 0",
	["@daily"] = "0 0 * * *",
	["@hourly"] = "0 * * * *",
}

local function refuse(spec, ...)
	error(("server:cron: \"%s\": %s"):format(spec, (...):format(select(2, ...))), 0)
end

local function number(spec, field, text)
	local n = field.names and field.names[text:lower()] or text:match "^%d+$" and tonumber(text)
	if not n or n < field.from or n > field.to then
		refuse(spec, "\"%s\" is none of the %s, which are %d to %d", text, field.name, field.from, field.to)
	end
	return n
end

-- "*", "5", "1-5", each with "/2" behind it or not.
local function add_range(spec, field, text, values)
	local range, step = text:match "^([^/]+)/(%d+)$"
	local from, to = (range or text):match "^(%w+)%-(%w+)$"
	if (range or text) == "*" then
		from, to = field.from, field.to
	elseif from then
		from, to = number(spec, field, from), number(spec, field, to)
	else
		from = number(spec, field, range or text)
		to = step and field.to or from
	end
	step = tonumber(step or 1)
	if step == 0 or from > to then
		refuse(spec, "\"%s\" in the %s names nothing", text, field.name)
	end
	for value = from, to, step do
		values[value] = true
	end
end

local function parse_field(spec, field, text)
	local values = { all = text == "*" }
	for part in (text .. ","):gmatch "([^,]*)," do
		add_range(spec, field, part, values)
	end
	if field.names == DAYS and values[7] then
		values[0] = true
	end
	return values
end

-- Five fields as in crontab(5), or six with the seconds in front.
local function parse(spec)
	local texts = {}
	for text in (SHORT[spec] or spec):gmatch "%S+" do
		texts[#texts + 1] = text
	end
	if #texts == 5 then
		table.insert(texts, 1, "0")
	end
	if #texts ~= #FIELDS then
		refuse(spec, "5 fields are expected (minute, hour, day, month, day of the week), or 6 with the second in front")
	end
	local fields = {}
	for i, field in ipairs(FIELDS) do
		fields[i] = parse_field(spec, field, texts[i])
	end
	return fields
end

-- As in crontab(5): when both kinds of days are restricted, either will do.
local function day_matches(fields, date)
	local month_day, week_day = fields[4], fields[6]
	if month_day.all or week_day.all then
		return month_day[date.day] and week_day[date.wday - 1]
	end
	return month_day[date.day] or week_day[date.wday - 1]
end

local function matches(fields, date)
	local in_time = fields[1][date.sec] and fields[2][date.min] and fields[3][date.hour]
	return in_time and fields[5][date.month] and day_matches(fields, date)
end

-- True for one process of all: the beat is ours.
local function claim(job, second)
	local last = job.claimed:get()
	return last < second and job.claimed:cmpset(last, second)
end

local jobs = {}

local function run(job)
	local fine, message = xpcall(job.fn, debug.traceback, job.server)
	if not fine then
		log.error(("the cron job \"%s\" failed: %s"):format(job.spec, message))
	end
end

local LATE = 60 -- seconds that a worker whose loop was held looks back
local looked    -- up to this second

local function look_at(second)
	local date = os.date("*t", second)
	for _, job in ipairs(jobs) do
		if matches(job.fields, date) and claim(job, second) then
			co.go(run, job)
		end
	end
end

local function beat()
	local now = math.floor(time.time())
	for second = math.max(looked + 1, now - LATE), now do
		look_at(second)
	end
	looked = now
	time.after(math.ceil((now + 1 - time.time()) * 1000) + 1, beat)
end

return function(server, spec, fn, new_atomic)
	local job = { server = server, spec = spec, fn = fn, fields = parse(spec) }
	job.claimed = new_atomic("luaserv:cron:" .. #jobs + 1)
	jobs[#jobs + 1] = job
	if #jobs == 1 and state.role == "worker" then
		looked = math.floor(time.time())
		time.after(1000, beat)
	end
	return server
end
