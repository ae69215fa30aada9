/* t/unit/test_api_time.c — timers fire once or in step, are cleared from anywhere, and end with the state. */
#include "api/api_time.c"

#include "tap.h"

#include <stdio.h>

static struct loop loop;
static lua_State *L;
static struct sched *sched;
static int errors;
static char last_error[1024];

static const struct lua_module modules[] = { { "luaserv.core.time", api_time_open }, { NULL, NULL } };

static void on_error(LS_UNUSED void *ctx, const struct task *t, const char *text)
{
	errors++;
	snprintf(last_error, sizeof last_error, "%s: %s", t->event, text);
}

static bool drain_before_sleep(LS_UNUSED void *ctx)
{
	return sched_run(sched);
}

static struct loop_hook drain = { .before_sleep = drain_before_sleep };

static void open_state(bool plain, unsigned max_tasks)
{
	struct err err;

	loop_init(&loop);
	L = state_new(NULL, modules, &err);
	state_set_role(L, LUA_ROLE_WORKER);
	sched = sched_new(
		L, &(struct sched_opts){ .loop = &loop, .max_tasks = max_tasks, .plain = plain, .on_error = on_error });
	loop_add_hook(&loop, &drain);
	luaL_loadstring(L, "for k, v in pairs(require 'luaserv.core.time') do _G[k] = v end out = {}");
	lua_call(L, 0, 0);
}

static void close_state(void)
{
	sched_free(sched);
	state_close(L);
	loop_del_hook(&loop, &drain);
	loop_fini(&loop);
}

static void spin(uint64_t ms)
{
	uint64_t end = clock_ms() + ms;

	while (clock_ms() < end) {
		struct timespec nap = { .tv_nsec = 200000 };

		loop_turn(&loop, false);
		nanosleep(&nap, NULL);
	}
}

static const char *run(const char *text)
{
	static char out[1100];
	struct err err = { 0 };

	lua_settop(L, 0);
	luaL_loadbuffer(L, text, strlen(text), "@t.lua");
	if (state_call(L, 0, 1, &err) < 0)
		snprintf(out, sizeof out, "%s", err.text);
	else
		snprintf(out, sizeof out, "%s", lua_tostring(L, -1) ? lua_tostring(L, -1) : "nil");
	return out;
}

static bool gives(const char *text, const char *wanted)
{
	const char *got = run(text);

	if (strcmp(got, wanted) == 0)
		return true;
	printf("# got: %s\n", got);
	return false;
}

static void fires(void)
{
	run("after(5, function(a, b) out.after = a .. b .. tostring(out.after) end, 'x', 'y')");
	ok(gives("return out.after", "nil"), "after does not fire at once");
	spin(20);
	ok(gives("return out.after", "xynil"), "but then, once, with its arguments");
	run("out.n = 0 id = tick(5, function(tid, step) out.n = out.n + step; out.same = tid == id end, 10)");
	spin(52);
	run("clear(id) out.m = out.n");
	spin(20);
	ok(gives("return out.same and out.n == out.m and out.n >= 70 and out.n <= 100 and 'ok' or out.n", "ok"),
	   "tick fires in step with its id and arguments, until it is cleared");
	ok(gives("return tostring(clear(id)) .. tostring(clear(-1)) .. tostring(clear(1e300))", "falsefalsefalse"),
	   "clear says whether there was one");
	run("id = tick(2, function() out.self = (out.self or 0) + 1 clear(id) end)");
	spin(15);
	ok(gives("return out.self", "1"), "a tick may clear itself");
	run("id = after(3, function() out.cleared = true end) out.r = clear(id)");
	spin(10);
	ok(gives("return tostring(out.cleared) .. tostring(out.r)", "niltrue"), "a cleared timer does not fire");
	ok(api_time_count(L) == 0, "no timer is left");
}

static void keeps_step(void)
{
	uint64_t start;

	run("out.beats = 0 id = tick(10, function() out.beats = out.beats + 1 end)");
	start = clock_ms();
	while (clock_ms() - start < 35)
		;
	loop_turn(&loop, false);
	spin(1);
	ok(gives("return out.beats", "1"), "missed beats are skipped");
	run("clear(id)");
}

static void waits_and_fails(void)
{
	run("after(1, function() local t = now() sleep(0.02) out.slept = now() - t sleep(0) out.done = true end)");
	spin(40);
	ok(gives("return out.slept >= 0.019 and out.slept < 0.04 and out.done and 'ok' or out.slept", "ok"),
	   "a timer's function may sleep");
	run("after(1, function() error('in timer') end)");
	spin(5);
	ok(errors == 1 && strstr(last_error, "timer: ") && strstr(last_error, "in timer"), "an error is reported");
	ok(strstr(run("sleep(1)"), "luaserv.sleep cannot wait here"), "sleep outside of a coroutine");
	ok(strstr(run("after(-1, print)"), "bad argument #1 to 'luaserv.after' (0 to"), "negative time");
	ok(strstr(run("after(0/0, print)"), "bad argument #1 to 'luaserv.after'"), "not a number");
	ok(strstr(run("tick(0, print)"), "bad argument #1 to 'luaserv.tick' (1 to"), "a tick of nothing");
	ok(strstr(run("after(1)"), "bad argument #2 to 'luaserv.after' (function expected"), "no function");
	ok(gives("local d = time() - os.time() return d > -1.1 and d < 1.1 and 'near'", "near"), "time");
	state_set_role(L, LUA_ROLE_EVAL);
	ok(strstr(run("after(1, print)"), "luaserv.after cannot be called while the script is evaluated"), "in eval");
	state_set_role(L, LUA_ROLE_WORKER);
}

static void many(void)
{
	run("out.n = 0 local function f() out.n = out.n + 1 end for i = 1, 20000 do after(i % 20, f) end");
	spin(60);
	ok(gives("return out.n", "20000"), "20000 timers");
	run("for i = 1, 1000 do after(100000, print) tick(100000, print) end");
	ok(api_time_count(L) == 2000, "2000 are set");
	api_time_clear_all(L);
	ok(api_time_count(L) == 0, "and dropped");
	run("after(100000, print) after(100001, function() end, {})");
}

int main(void)
{
	open_state(false, 1000);
	fires();
	keeps_step();
	waits_and_fails();
	many();
	close_state();

	open_state(true, 1000);
	run("after(1, function() out.ok, out.e = pcall(sleep, 1) end)");
	spin(10);
	ok(strstr(run("return out.e"), "enable_coroutine is off"),
	   "in plain mode the function runs without a coroutine");
	close_state();

	open_state(false, 1);
	run("out.n = 0 for i = 1, 3 do after(1, function() sleep(0.005) out.n = out.n + 1 end) end");
	spin(250);
	ok(gives("return out.n", "3"), "timers wait while max_coroutine is reached");
	close_state();
	return tap_done();
}
