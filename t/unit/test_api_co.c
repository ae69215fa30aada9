/* t/unit/test_api_co.c — coroutines, channels, wait groups and semaphores as Lua sees them. */
#include "api/api_co.c"

#include "api/api_time.h"
#include "base/clock.h"
#include "tap.h"

#include <stdio.h>

static struct loop loop;
static lua_State *L;
static struct sched *sched;
static int errors;
static char last_error[1024];
static char done_text[1024];

/* In place of what api_server.c and api_http.c give. */
static int open_nothing(lua_State *S)
{
	lua_newtable(S);
	return 1;
}

static const struct lua_module modules[] = {
	{ "luaserv.core.server", open_nothing },
	{ "luaserv.core.http", open_nothing },
	{ "luaserv.core.time", api_time_open },
	{ "luaserv.core.co", api_co_open },
	{ "luaserv.core.client", open_nothing },
	{ "luaserv.core.event", open_nothing },
	{ "luaserv.core.process", open_nothing },
	{ "luaserv.core.program", open_nothing },
	{ "luaserv.core.shared", open_nothing },
	{ "luaserv.core.signal", open_nothing },
	{ NULL, NULL },
};

static void on_error(LS_UNUSED void *ctx, const struct task *t, const char *text)
{
	errors++;
	snprintf(last_error, sizeof last_error, "%s: %s", t->event, text);
}

static void on_done(struct task *t, LS_UNUSED int status)
{
	snprintf(done_text, sizeof done_text, "%s", lua_tostring(t->L, -1) ? lua_tostring(t->L, -1) : "nil");
}

static bool drain_before_sleep(LS_UNUSED void *ctx)
{
	return sched_run(sched) || sched_count(sched) == 0;
}

static struct loop_hook drain = { .before_sleep = drain_before_sleep };

static void open_state(void)
{
	struct err err;

	loop_init(&loop);
	L = state_new(NULL, modules, &err);
	state_set_role(L, LUA_ROLE_WORKER);
	sched = sched_new(L, &(struct sched_opts){ .loop = &loop, .max_tasks = 1000, .on_error = on_error });
	loop_add_hook(&loop, &drain);
	luaL_loadstring(L, "luaserv = require 'luaserv' go = luaserv.go sleep = luaserv.sleep");
	lua_call(L, 0, 0);
}

static void close_state(void)
{
	sched_free(sched);
	state_close(L);
	loop_del_hook(&loop, &drain);
	loop_fini(&loop);
}

/* What the text, run as a task, returns or raises; all its coroutines have ended then. */
static const char *run(const char *text)
{
	struct task *t = sched_task(sched);

	errors = 0;
	last_error[0] = 0;
	t->on_done = on_done;
	luaL_loadbuffer(t->L, text, strlen(text), "@t.lua");
	sched_start(t, 0);
	while (sched_count(sched))
		loop_turn(&loop, true);
	return done_text;
}

static void expect(const char *text, const char *wanted, const char *what)
{
	const char *got = run(text);
	bool held = strncmp(got, wanted, strlen(wanted)) == 0 && (strchr(wanted, ' ') || strcmp(got, wanted) == 0);

	ok(held, "%s", what);
	if (!held)
		printf("# got: %.300s\n", got);
}

static void coroutines(void)
{
	expect("local s = '' local id = go(function(a) s = s .. a sleep(0.001) s = s .. 'c' end, 'a') s = s .. 'b' sleep(0.005) "
	       "return s .. type(id)",
	       "abcnumber", "go runs at once up to the first wait");
	expect("local a = luaserv.id() local b go(function() b = luaserv.id() end) return tostring(a ~= b and a > 0)",
	       "true", "each has its id");
	expect("local s = '' go(function() luaserv.defer(function() s = s .. '1' end) luaserv.defer(function() s = s .. '2' end) "
	       "sleep(0.001) s = s .. 'x' end) sleep(0.005) return s",
	       "x21", "defer");
	expect("local ok, e local id = go(function() ok, e = pcall(sleep, 10) end) luaserv.cancel(id) sleep(0.001) "
	       "return tostring(ok) .. e",
	       "falsecancelled", "cancel reaches pcall(luaserv.sleep, 10)");
	expect("local ok, e local id = go(function() ok, e = pcall(function() return sleep(10) end) end) luaserv.cancel(id) "
	       "sleep(0.001) return tostring(ok) .. e",
	       "falsecancelled", "and a tail call");
	expect("local e local id = go(function() coroutine.wrap(function() e = select(2, pcall(sleep, 10)) end)() end) "
	       "luaserv.cancel(id) sleep(0.001) return e",
	       "cancelled", "and coroutines of the app");
	expect("local s = '' for i = 1, 3 do go(function() for k = 1, 2 do s = s .. i luaserv.yield() end end) end "
	       "sleep(0.001) return s",
	       "123123", "yield");
	expect("go(function() sleep(0.001) end) return luaserv.running()", "2", "running");
	expect("go(1)", "t.lua:1: bad argument #1 to 'luaserv.go' (function expected, got number)", "misuse of go");
	run("go(function() error('lost') end)");
	ok(errors == 1 && strstr(last_error, "go: t.lua:1: lost"), "an error in a coroutine is reported");
	expect("local n = 0 local function f() n = n + 1 if n < 300 then go(f) sleep(0.001) end end f() sleep(0.2) return n",
	       "300", "300 deep");
	expect("local ok, m, c for i = 1, 1001 do ok, m, c = go(sleep, 0.01) end return tostring(ok) .. c", "nil10001",
	       "max_coroutine");
}

static void channels(void)
{
	expect("local c = luaserv.channel(2) go(function() for i = 1, 5 do c:push(i) end c:close() end) local s = '' "
	       "for v in function() return (c:pop()) end do s = s .. v end return s .. select(2, c:pop())",
	       "12345the channel is closed", "values come in order, then the end");
	expect("local c = luaserv.channel(0) local s = '' go(function() for i = 1, 3 do c:push(i) s = s .. 'p' end end) "
	       "sleep(0.001) for i = 1, 3 do local v = c:pop() s = s .. v end sleep(0.001) return s",
	       "1pp23p", "a channel without room hands over");
	expect("local c = luaserv.channel() local a, m, n = c:pop(0.002) return tostring(a) .. m .. n", "niltimeout110",
	       "pop times out");
	expect("local c = luaserv.channel(1) c:push(1) local a, m = c:push(2, 0.001) return tostring(a) .. m .. c:length() .. c:pop()",
	       "niltimeout11", "push times out, and its value is not pushed");
	expect("local c = luaserv.channel(1) return tostring(c:pop(0)) .. tostring(c:push(7, 0)) .. tostring(c:push(8, 0)) .. "
	       "c:capacity()",
	       "niltruenil1", "a time-out of 0 does not wait");
	expect("local c, s = luaserv.channel(1), '' for i = 1, 3 do go(function() local v = c:pop() s = s .. i .. v end) end "
	       "c:push('a') c:push('b') c:push('c') sleep(0.001) return s",
	       "1a2b3c", "who waits longest is served first");
	expect("local c = luaserv.channel(1) local e go(function() e = select(2, c:pop()) end) c:close() sleep(0.001) "
	       "return e .. select(2, c:push(1)) .. tostring(c:close())",
	       "the channel is closedthe channel is closedfalse", "close wakes, and refuses");
	expect("local c = luaserv.channel(3) local n = 0 for r = 1, 100 do for i = 1, 3 do c:push({ i }) end "
	       "for i = 1, 3 do n = n + c:pop()[1] end end return n",
	       "600", "the ring goes round");
	expect("luaserv.channel(1):push(nil)", "t.lua:1: bad argument #1 to 'channel:push' (a value expected, got nil",
	       "nil cannot be pushed");
	expect("luaserv.channel(-1)", "t.lua:1: bad argument #1 to 'luaserv.channel' (0 to", "a negative capacity");
	expect("luaserv.channel(1):pop('x')", "t.lua:1: bad argument #1 to 'channel:pop' (number expected, got string)",
	       "misuse");
	expect("for i = 1, 50 do go(function() local c = luaserv.channel(0) if i % 2 == 0 then c:pop(0.005) else c:push(i, 0.005) end "
	       "end) end for i = 1, 5 do collectgarbage() sleep(0.002) end return 'ok'",
	       "ok", "channels may be collected while somebody waits");
	expect("local c = luaserv.channel(0) local ids = {} for i = 1, 4 do ids[i] = go(function() c:push(i) end) end "
	       "luaserv.cancel(ids[1]) luaserv.cancel(ids[3]) sleep(0.001) return c:pop() .. c:pop() .. tostring(c:pop(0))",
	       "24nil", "a cancelled push leaves nothing");
}

static void groups_and_semaphores(void)
{
	expect("local g, n = luaserv.wait_group(), 0 for i = 1, 5 do g:add() go(function() sleep(i / 1000) n = n + 1 g:done() end) "
	       "end local r = g:wait() return tostring(r) .. n .. g:count()",
	       "true50", "a wait group");
	expect("local g = luaserv.wait_group(1) return (select(2, g:wait(0.001)))", "timeout", "times out");
	expect("luaserv.wait_group():done()", "t.lua:1: wait_group:done: the wait group would count -1",
	       "done too often");
	expect("local s, most, now = luaserv.semaphore(2), 0, 0 local g = luaserv.wait_group(6) for i = 1, 6 do go(function() "
	       "s:acquire() now = now + 1 most = math.max(most, now) sleep(0.001) now = now - 1 s:release() g:done() end) end "
	       "g:wait() return most .. s:available()",
	       "22", "a semaphore");
	expect("luaserv.semaphore(1):release()", "t.lua:1: semaphore:release: all 1 permits are free already",
	       "released too often");
	expect("local s = luaserv.semaphore() s:acquire() return (select(2, s:acquire(0.001)))", "timeout",
	       "times out");
}

static void joins(void)
{
	expect("local r, e = luaserv.join({ function() sleep(0.003) return 'a' end, function() return 'b' end }) "
	       "return r[1] .. r[2] .. tostring(e)",
	       "abnil", "join gives results in order");
	expect("local r, e = luaserv.join { function() error('no', 0) end, function() return 1 end } return tostring(r[1]) .. r[2] .. "
	       "e[1]",
	       "nil1no", "and errors");
	expect("local last local r, m, c = luaserv.join({ function() last = select(2, pcall(sleep, 10)) end }, 0.002) sleep(0.001) "
	       "return tostring(r) .. m .. c .. last",
	       "niltimeout110cancelled", "cancels what takes too long");
	expect("local e local id = go(function() luaserv.join { function() e = select(2, pcall(sleep, 10)) end } end) "
	       "luaserv.cancel(id) sleep(0.002) return e",
	       "cancelled", "and what it waits for when it is cancelled itself");
	expect("luaserv.join(1)", "t.lua:1: bad argument #1 to 'luaserv.join' (list of functions expected, got number)",
	       "misuse");
	expect("luaserv.join { 1 }", "t.lua:1: bad argument #1 to 'luaserv.join' (item 1 is a number, not a function)",
	       "of an item");
	expect("return luaserv.role .. luaserv.version .. luaserv.mode.base .. luaserv.errors.closed .. type(luaserv.log.warn)",
	       "worker" LS_VERSION "base1004function", "the module's other fields");
}

static void measures(void)
{
	uint64_t start = clock_ns();

	run("local c = luaserv.channel(100) go(function() for i = 1, 300000 do c:push(i) end c:close() end) "
	    "while c:pop() do end return 1");
	printf("# channel push + pop: %.0f ns\n", (double)(clock_ns() - start) / 3e5);
	start = clock_ns();
	run("local function f() end for i = 1, 300000 do go(f) end return 1");
	printf("# go: %.0f ns\n", (double)(clock_ns() - start) / 3e5);
}

int main(void)
{
	open_state();
	coroutines();
	channels();
	groups_and_semaphores();
	joins();
	measures();
	close_state();
	return tap_done();
}
