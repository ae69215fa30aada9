/* t/unit/test_sched.c — tasks park, wake, time out, are cancelled where pcall sees it, and are used again. */
#include "lua/sched.c"

#include "base/clock.h"
#include "tap.h"

#include <stdio.h>

enum { BENCH_TASKS = 500000 };

static struct loop loop;
static lua_State *L;
static struct sched *sched;
static struct list waiters;
static char last_error[1024];
static int errors, idles, enters, leaves, cancels;
static int done_status = -1;
static char done_text[1024];

static void on_error(LS_UNUSED void *ctx, LS_UNUSED const struct task *t, const char *text)
{
	errors++;
	snprintf(last_error, sizeof last_error, "%s", text);
}

static void on_enter(LS_UNUSED void *ctx, LS_UNUSED lua_State *co)
{
	enters++;
}

static void on_leave(LS_UNUSED void *ctx)
{
	leaves++;
}

static void on_idle(LS_UNUSED void *ctx)
{
	idles++;
}

static void on_done(struct task *t, int status)
{
	done_status = status;
	snprintf(done_text, sizeof done_text, "%s", lua_tostring(t->L, -1) ? lua_tostring(t->L, -1) : "");
}

/* ---- a few functions for Lua --------------------------------------------------------------------------------------- */

static void leave_list(struct task *t)
{
	cancels++;
	list_del(&t->link);
}

/* wait(ms) */
static int lua_wait(lua_State *co)
{
	struct task *t = sched_current(sched);

	if (t)
		list_append(&waiters, &t->link);
	return sched_park(co, "wait", leave_list, NULL, (uint64_t)lua_tointeger(co, 1));
}

static int lua_nap(lua_State *co)
{
	return sched_sleep(co, "nap", (uint64_t)lua_tointeger(co, 1));
}

static int lua_pause(lua_State *co)
{
	return sched_pause(co, "pause");
}

static int lua_defer(lua_State *co)
{
	sched_defer(co, 1);
	return 0;
}

static int lua_cancel(lua_State *co)
{
	struct task *t = sched_find(sched, (uint64_t)lua_tonumber(co, 1));

	if (t)
		sched_cancel(t);
	lua_pushboolean(co, t != NULL);
	return 1;
}

static int lua_go(lua_State *co)
{
	struct task *t = sched_task(sched);
	int n = lua_gettop(co);
	uint64_t id;

	if (!t)
		return 0;
	id = t->id;
	lua_xmove(co, t->L, n);
	sched_start(t, n - 1);
	lua_pushnumber(co, (lua_Number)id);
	return 1;
}

/* wake(value): the task that waits longest. */
static int lua_wake(lua_State *co)
{
	struct list *node = list_shift(&waiters);

	if (node) {
		struct task *t = LS_CONTAINER_OF(node, struct task, link);

		lua_pushvalue(co, 1);
		lua_xmove(co, t->L, 1);
		sched_wake(t, 1);
	}
	return 0;
}

static const luaL_Reg functions[] = {
	{ "wait", lua_wait },     { "nap", lua_nap }, { "pause", lua_pause }, { "defer", lua_defer },
	{ "cancel", lua_cancel }, { "go", lua_go },   { "wake", lua_wake },
};

static bool drain_before_sleep(LS_UNUSED void *ctx)
{
	/* The last task may end in here: then the loop must not sleep. */
	return sched_run(sched) || sched_count(sched) == 0;
}

static struct loop_hook drain = { .before_sleep = drain_before_sleep };

static void open_state(unsigned max_tasks, uint64_t memory)
{
	struct lua_limits limits = { .memory = memory };
	struct err err;

	list_init(&waiters);
	L = state_new(&limits, NULL, &err);
	if (!L) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	loop_init(&loop);
	sched = sched_new(L, &(struct sched_opts){ .loop = &loop,
	                                           .max_tasks = max_tasks,
	                                           .on_error = on_error,
	                                           .on_enter = on_enter,
	                                           .on_leave = on_leave,
	                                           .on_idle = on_idle });
	loop_add_hook(&loop, &drain);
	for (size_t i = 0; i < LS_COUNT(functions); i++)
		lua_register(L, functions[i].name, functions[i].func);
	lua_newtable(L);
	lua_setglobal(L, "out");
}

static void close_state(void)
{
	sched_free(sched);
	state_close(L);
	loop_del_hook(&loop, &drain);
	loop_fini(&loop);
}

/* Starts the text as one task. */
static void start_text(const char *text)
{
	struct task *t = sched_task(sched);

	errors = 0;
	last_error[0] = 0;
	done_status = -1;
	t->on_done = on_done;
	if (luaL_loadbuffer(t->L, text, strlen(text), "@test.lua") != 0) {
		printf("Bail out! %s\n", lua_tostring(t->L, -1));
		exit(1);
	}
	sched_start(t, 0);
}

/* The same, and the loop until no task is left. */
static void run_text(const char *text)
{
	start_text(text);
	while (sched_count(sched))
		loop_turn(&loop, true);
}

static bool is_done(const char *text)
{
	if (done_status == 0 && strcmp(done_text, text) == 0)
		return true;
	printf("# status %d: %s\n", done_status, done_text);
	return false;
}

/* ---- tests --------------------------------------------------------------------------------------------------------- */

static void runs_and_uses_again(void)
{
	struct task *first = sched_task(sched);
	lua_State *co = first->L;
	uint64_t id = first->id;

	luaL_loadstring(co, "return 1");
	sched_start(first, 0);
	ok(sched_count(sched) == 0 && idles == 1, "a task runs to its end at once, and then the scheduler is idle");
	ok(enters == 1 && leaves == 1, "Lua was entered and left once");

	struct task *second = sched_task(sched);

	ok(second->L == co && second->id != id, "its coroutine is used again, with another id");
	ok(sched_find(sched, second->id) == second && !sched_find(sched, id), "tasks are found by id while they live");
	luaL_loadstring(co, "error('x')");
	second->on_done = on_done;
	sched_start(second, 0);
	ok(done_status == LUA_ERRRUN && strstr(done_text, "stack traceback"), "an error comes with a traceback");

	struct task *third = sched_task(sched);

	ok(third->L != co, "a coroutine that died is not used again: closures may still look at its variables");
	luaL_loadstring(third->L, "return ...");
	lua_pushinteger(third->L, 7);
	third->on_done = on_done;
	sched_start(third, 1);
	ok(is_done("7"), "and works, with arguments and results");
}

static void waits(void)
{
	run_text("go(function() nap(2); wake('v') end); return wait(0)");
	ok(is_done("v"), "a parked task goes on with what the waker pushed");
	run_text("local a, b, c = wait(3); return tostring(a) .. b .. c");
	ok(is_done("niltimeout110") && cancels == 1, "a time-out gives nil, message, code");
	run_text("return tostring(nap(1))");
	ok(is_done("true"), "a sleep gives true");
	run_text("local s = '' ; go(function() for i = 1, 3 do s = s .. 'a'; pause() end end);"
	         "for i = 1, 3 do s = s .. 'b'; pause() end return s");
	ok(is_done("abbaab") || is_done("ababab") ||
	           is_done("abbab"
	                   "a") ||
	           is_done("ab"
	                   "abab"),
	   "pause takes turns");
	run_text("local ok, r = pcall(function() return wait(1) end) return tostring(ok) .. tostring(r)");
	ok(is_done("truenil"), "waiting inside pcall works");
	run_text("local n = 0 for v in function() return nap(1) and n < 3 or nil end do n = n + 1 end return n");
	ok(is_done("3"), "waiting in an iterator works");
}

static void waits_in_coroutines_of_the_app(void)
{
	run_text("local co = coroutine.create(function(a) local b = coroutine.yield(a + 1); nap(1); "
	         "local c = coroutine.yield(b + 1); nap(1); return c + 1 end)\n"
	         "local _, x = coroutine.resume(co, 1); local _, y = coroutine.resume(co, x);"
	         "local _, z = coroutine.resume(co, y) return z .. coroutine.status(co)");
	ok(is_done("4dead"), "a coroutine of the app may wait between its own yields");
	run_text("local function deep(n) if n == 0 then nap(1) return wait(1) == nil and 'x' end "
	         "return coroutine.wrap(function() return deep(n - 1) .. n end)() end return deep(20)");
	ok(is_done("x1234567891011121314151617181920"), "twenty coroutines deep, too");
	run_text("local co = coroutine.create(function() nap(5) return 'mine' end)\n"
	         "go(function() out.ok, out.why = coroutine.resume(co); out.status = coroutine.status(co) end)\n"
	         "local first = select(2, coroutine.resume(co)) return first .. tostring(out.why)");
	ok(is_done("minenil") || is_done("minecannot resume dead coroutine") || strstr(done_text, "non-suspended"),
	   "order of two resumes is kept");
	run_text("local co = coroutine.create(function() nap(5) return 'mine' end)\n"
	         "go(function() coroutine.resume(co) end)\n"
	         "return coroutine.status(co) .. select(2, coroutine.resume(co))");
	ok(is_done("normalcannot resume non-suspended coroutine"), "a coroutine that waits is not resumed by others");
	run_text(
		"local me = coroutine.running(); go(function() out.why = select(2, coroutine.resume(me)) end) return out.why");
	ok(is_done("cannot resume non-suspended coroutine"), "a task is not resumed by the app");
	run_text("local w = coroutine.wrap(function() nap(1) error('boom') end) return select(2, pcall(w))");
	ok(done_status == 0 && strstr(done_text, "boom"), "errors pass through wrap after a wait");
}

static void refuses_where_it_cannot(void)
{
	struct err err;

	luaL_loadstring(L, "wait(0)");
	ok(state_call(L, 0, 0, &err) < 0 && strstr(err.text, "wait cannot wait here: no coroutine"),
	   "outside of tasks");
	run_text("local t = {3, 1, 2} return select(2, pcall(table.sort, t, function(a, b) nap(1) return a < b end))");
	ok(done_status == 0 && strstr(done_text, "nap cannot wait here: a function called from C"), "in table.sort");
	run_text("local co = coroutine.wrap(function() wait(0) end)\n"
	         "local e = select(2, pcall(string.gsub, 'x', 'x', function() co() end)) nap(1) return e");
	ok(done_status == 0 && strstr(done_text, "cannot wait here") && list_empty(&waiters),
	   "in a coroutine resumed inside string.gsub, and the wait is undone");
	run_text("local e = select(2, pcall(function() coroutine.yield(1) return 'went on' end)) return e");
	ok(done_status == 0 && strstr(done_text, "coroutine.yield was called in a task"), "a stray yield is an error");
	run_text("coroutine.yield() return 1");
	ok(done_status == LUA_ERRRUN && strstr(done_text, "test.lua:1:") &&
	           strstr(done_text, "coroutine.yield was called"),
	   "which ends the task with a traceback");
}

static void cancels_tasks(void)
{
	run_text("local id = go(function() out.ok, out.e = pcall(function() local r = wait(0) return r end) end)\n"
	         "cancel(id) nap(1) return tostring(out.ok) .. tostring(out.e)");
	ok(is_done("falsecancelled") && list_empty(&waiters), "a parked task gets an error that pcall sees");
	run_text(
		"local id = go(function() coroutine.wrap(function() out.e = select(2, pcall(function() local r = wait(0) "
		"return r end)) end)(); nap(1) out.after = 'after' end)\n"
		"cancel(id) nap(3) return tostring(out.e) .. out.after");
	ok(is_done("cancelledafter"), "in the coroutine inside the task that waits, once");
	run_text("local id = go(function() local a, b, c = wait(0) end) cancel(id) nap(1) return 'x'");
	ok(errors == 0, "a task that ends by its cancellation is not reported");
	run_text("local id; id = go(function() pause() for i = 1, 10 do end out.e = select(2, pcall(function() "
	         "local r = wait(0) return r end)) end) cancel(id) nap(2) return out.e");
	ok(is_done("cancelled"), "a queued task gets it at its next wait");
	run_text("local id = go(function() out.n = select('#', wait(0)) out.r = {wait(1)} end) cancel(id) nap(3) "
	         "return tostring(cancel(id)) .. tostring(cancel(123456))");
	ok(is_done("falsefalse"), "a task that has ended cannot be cancelled");
	run_text("local id = go(function() out.r = {pcall(wait, 0)} end) cancel(id) nap(1) "
	         "return tostring(out.r[1]) .. tostring(out.r[2]) .. tostring(out.r[3])");
	ok(is_done("truenilcancelled"), "without a Lua frame to raise in, the function returns nil, message");
}

static void defers(void)
{
	run_text(
		"out.s = '' defer(function() out.s = out.s .. 'a' end) defer(function() nap(1) out.s = out.s .. 'b' end)"
		"nap(1) return 'result'");
	ok(is_done("result"), "results survive deferred functions");
	run_text("local s = out.s out.s = '' defer(function() out.s = 'after error' end) error(s)");
	ok(done_status == LUA_ERRRUN && strstr(done_text, "ba"), "they ran last first, and may wait");
	run_text("local s = out.s defer(function() error('in deferred') end) defer(function() s = s .. '!' end) "
	         "nap(1) out.t = s return s");
	ok(is_done("after error"), "they run after an error");
	ok(errors == 1 && strstr(last_error, "in deferred"), "an error in one is reported");
}

static void explains_errors(void)
{
	run_text("error(setmetatable({}, {__tostring = function() return 'as text' end}))");
	ok(strncmp(done_text, "as text\n", 8) == 0, "__tostring is asked");
	run_text("error({})");
	ok(strstr(done_text, "the error is a table value"), "a table without it is named");
	run_text("error(setmetatable({}, {__tostring = function() error('no') end}))");
	ok(done_status == LUA_ERRRUN && done_text[0], "an error in __tostring does no harm");
	run_text("local function f() return f() .. 'x' end f()");
	ok(done_status == LUA_ERRRUN && strstr(done_text, "stack overflow"), "nor does a stack overflow");
	run_text("go(function() error('nobody') end) return 1");
	ok(errors == 1 && strstr(last_error, "nobody") && done_status == 0, "without on_done the scheduler reports");
}

static void nests(void)
{
	run_text("local n = 0 local function f() n = n + 1 if n < 500 then go(f) end end f() "
	         "while n < 500 do pause() end return n");
	ok(is_done("500"), "500 nested starts do not overflow the C stack");
	run_text("local n = 0 for i = 1, 5000 do go(function() nap(1 + i % 7) n = n + 1 end) end "
	         "while n < 5000 do nap(1) end return n");
	ok(is_done("5000"), "5000 tasks sleep at once");
	ok(sched->roster.pooled <= 1024, "the pool is bounded");
}

static void limits_tasks(void)
{
	open_state(10, 0);
	run_text("local n = 0 for i = 1, 20 do if go(function() nap(1) end) then n = n + 1 end end return n");
	ok(is_done("9"), "no more than max_tasks are alive");
	for (int i = 0; i < 5; i++)
		start_text("wait(0)");
	close_state();
	ok(errors == 0, "what still waits is dropped at the end without a word");
}

static void ends_everything(void)
{
	open_state(1000, 0);
	cancels = 0;
	start_text("while true do pcall(wait, 0) end");
	start_text("nap(100000)");
	ok(sched_count(sched) == 2, "one task refuses to be cancelled, one sleeps long");
	close_state();
	ok(cancels > 1, "sched_free ends both");
}

static void survives_without_memory(void)
{
	open_state(1000, 8 << 20);
	run_text("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end");
	ok(done_status == LUA_ERRMEM && strstr(done_text, "not enough memory"), "the memory limit ends the task");
	run_text("local s = {} for i = 1, 1000 do s[i] = ('y'):rep(1000) .. i end return #s");
	ok(is_done("1000"), "and the next one has memory again");
	close_state();
}

static void measures(void)
{
	uint64_t start = clock_ns();

	luaL_loadstring(L, "local a = ...");
	for (int i = 0; i < BENCH_TASKS; i++) {
		struct task *t = sched_task(sched);

		lua_pushvalue(L, -1);
		lua_xmove(L, t->L, 1);
		lua_pushinteger(t->L, i);
		sched_start(t, 1);
	}
	lua_pop(L, 1);
	printf("# sched_task + sched_start + end: %.0f ns\n", (double)(clock_ns() - start) / BENCH_TASKS);

	lua_State *bare = lua_newthread(L);

	luaL_loadstring(L, "local a = ...");
	start = clock_ns();
	for (int i = 0; i < BENCH_TASKS; i++) {
		lua_pushvalue(L, -1);
		lua_xmove(L, bare, 1);
		lua_pushinteger(bare, i);
		lua_resume(bare, 1);
		lua_settop(bare, 0);
	}
	lua_pop(L, 2);
	printf("# bare lua_resume of a kept coroutine: %.0f ns\n", (double)(clock_ns() - start) / BENCH_TASKS);

	run_text("local pause = pause for i = 1, 10 do pause() end return 1");
	start = clock_ns();
	run_text("local pause = pause for i = 1, 1000000 do pause() end return 1");
	printf("# pause: %.0f ns\n", (double)(clock_ns() - start) / 1e6);
	start = clock_ns();
	run_text("local co = coroutine.wrap(function() for i = 1, 1000000 do pause() end return 1 end) return co()");
	printf("# pause in a coroutine of the app: %.0f ns\n", (double)(clock_ns() - start) / 1e6);
}

int main(void)
{
	open_state(100000, 0);
	runs_and_uses_again();
	waits();
	waits_in_coroutines_of_the_app();
	refuses_where_it_cannot();
	cancels_tasks();
	defers();
	explains_errors();
	nests();
	measures();
	close_state();
	limits_tasks();
	ends_everything();
	survives_without_memory();
	return tap_done();
}
