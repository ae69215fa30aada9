/* t/unit/test_watchdog.c — Lua that does not end is ended: five loop shapes, plain and inside pcall, with the JIT on. */
#include "lua/watchdog.c"

#include "lua/sched.h"
#include "tap.h"

#include <stdlib.h>

enum { LIMIT_MS = 120, IDLE_MS = 300, BENCH_RUNS = 20000000 };

static struct loop loop;
static lua_State *L;
static struct sched *sched;
static struct watchdog dog;
static _Atomic uint64_t runs_counted;
static char done_text[1024];
static int done_status;

static void on_enter(LS_UNUSED void *ctx, LS_UNUSED lua_State *co)
{
	watchdog_enter(&dog);
}

static void on_leave(LS_UNUSED void *ctx)
{
	watchdog_leave(&dog);
}

static void on_done(struct task *t, int status)
{
	done_status = status;
	snprintf(done_text, sizeof done_text, "%s", lua_tostring(t->L, -1) ? lua_tostring(t->L, -1) : "");
}

/* Milliseconds that the text ran. */
static uint64_t run_text(const char *text)
{
	struct task *t = sched_task(sched);
	uint64_t start = clock_ms();

	done_status = -1;
	t->on_done = on_done;
	if (luaL_loadbuffer(t->L, text, strlen(text), "@loop.lua") != 0) {
		printf("Bail out! %s\n", lua_tostring(t->L, -1));
		exit(1);
	}
	sched_start(t, 0);
	return clock_ms() - start;
}

static void ends_loops(void)
{
	static const struct {
		const char *name;
		const char *body;
	} shapes[] = {
		{ "while true do end", "while true do end" },
		{ "arithmetic", "local x = 0 for i = 1, 1e15 do x = x + i % 7 * 3 end" },
		{ "nested calls",
		  "local function f(n) if n > 0 then return f(n - 1) + 1 end return 0 end while true do f(20) end" },
		{ "strings", "local s = '' while true do s = ('x'):rep(10) .. #s s = s:upper():sub(2, 5) end" },
		{ "tables", "local t = {} local i = 0 while true do i = i % 100 + 1 t[i] = { i } end" },
	};

	for (size_t i = 0; i < LS_COUNT(shapes); i++) {
		char text[512];
		uint64_t ms = run_text(shapes[i].body);

		ok(done_status == LUA_ERRRUN &&
		           strstr(done_text, "execution time of 0.12 s is used up (max_execution_time)"),
		   "%s: ended after %d ms", shapes[i].name, (int)ms);
		ok(ms >= LIMIT_MS && ms < 10 * LIMIT_MS, "%s: in time", shapes[i].name);
		snprintf(text, sizeof text, "while true do pcall(function() %s end) end", shapes[i].body);
		ms = run_text(text);
		ok(done_status == LUA_ERRRUN && strstr(done_text, "execution time"), "%s in a loop of pcalls: %d ms",
		   shapes[i].name, (int)ms);
		snprintf(text, sizeof text, "while true do local co = coroutine.wrap(function() %s end) pcall(co) end",
		         shapes[i].body);
		ms = run_text(text);
		ok(done_status == LUA_ERRRUN && strstr(done_text, "execution time"), "%s in coroutines: %d ms",
		   shapes[i].name, (int)ms);
	}
}

static void ends_c_functions_late(void)
{
	uint64_t ms = run_text("local s = ('a'):rep(33) while true do string.find(s, ('a*'):rep(6) .. 'b') end");

	ok(done_status == LUA_ERRRUN && strstr(done_text, "execution time"),
	   "a catastrophic pattern ends when C returns: %d ms", (int)ms);
}

static void leaves_others_alone(void)
{
	uint64_t end = clock_ms() + 4 * LIMIT_MS;
	int runs = 0;
	bool all_ended_well = true;

	while (clock_ms() < end) {
		run_text("local x = 0 for i = 1, 1e6 do x = x + i end return 'done'");
		all_ended_well &= done_status == 0;
		runs++;
	}
	ok(all_ended_well, "%d short runs within four limits are left alone", runs);
	ok(lua_gethook(L) == NULL, "no hook stays behind");
}

static void sleeps_when_idle(void)
{
	struct timespec before, after;
	struct timespec nap_time = { .tv_nsec = IDLE_MS * 1000000L };
	clockid_t helper;

	pthread_getcpuclockid(dog.helper, &helper);
	clock_gettime(helper, &before);
	nanosleep(&nap_time, NULL);
	clock_gettime(helper, &after);

	long us = (after.tv_sec - before.tv_sec) * 1000000 + (after.tv_nsec - before.tv_nsec) / 1000;

	ok(us < 5000, "the helper used %ld us of %d ms", us, IDLE_MS);
}

static void measures(void)
{
	uint64_t start = clock_ns();

	for (int i = 0; i < BENCH_RUNS; i++) {
		watchdog_enter(&dog);
		watchdog_leave(&dog);
	}
	printf("# enter and leave: %.1f ns\n", (double)(clock_ns() - start) / BENCH_RUNS);
}

static void does_nothing_without_a_limit(void)
{
	struct watchdog none;

	ok(watchdog_start(&none, L, &(struct watchdog_opts){ .run = &runs_counted }, NULL) == 0 && !none.started,
	   "limit 0 starts no thread");
	watchdog_enter(&none);
	watchdog_leave(&none);
	watchdog_stop(&none);
	ok(!none.started, "and stopping that is harmless");
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
	printf("1..0 # SKIP ThreadSanitizer holds signals back until a system call, and these loops make none\n");
	return 0;
#endif
	struct err err;

	/* As in a worker, where signals are blocked and read from a descriptor. */
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGINT);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	L = state_new(NULL, NULL, &err);
	loop_init(&loop);
	sched = sched_new(
		L, &(struct sched_opts){ .loop = &loop, .max_tasks = 10, .on_enter = on_enter, .on_leave = on_leave });
	ok(watchdog_start(&dog, L, &(struct watchdog_opts){ .run = &runs_counted, .limit_ms = LIMIT_MS }, &err) == 0,
	   "it starts");
	ends_loops();
	ends_c_functions_late();
	leaves_others_alone();
	sleeps_when_idle();
	measures();
	watchdog_stop(&dog);
	does_nothing_without_a_limit();
	sched_free(sched);
	state_close(L);
	loop_fini(&loop);
	return tap_done();
}
