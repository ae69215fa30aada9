#include "lua/watchdog.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	/* How often it looks before the time is over: a run is seen to have begun so much late. */
	LOOKS_PER_LIMIT = 16,
	LOOKS_PER_NOTICE = 4,
	LOOK_MIN_MS = 1,
	/* A signal that came where LuaJIT was busy with its own hook is lost; so it is sent until the run ends. */
	AGAIN_MS = 20,
	CALLS_MAX = 3, /* to tell of one run */
};

/* For the signal handler; one per process. */
static struct watchdog *the_watchdog;

static int watchdog_signal(void)
{
	return SIGRTMIN + 3;
}

/* ---- the worker's thread ------------------------------------------------------------------------------------------- */

/* Stays set: whoever catches the error gets the next one at once. */
static void kill_hook(lua_State *L, lua_Debug *ar)
{
	double seconds = the_watchdog ? (double)the_watchdog->limit_ms / 1000 : 0;

	lua_getinfo(L, "Sl", ar);
	if (ar->currentline > 0)
		lua_pushfstring(L, "%s:%d: ", ar->short_src, ar->currentline);
	else
		lua_pushliteral(L, "");
	lua_pushfstring(L, "execution time of %f s is used up (max_execution_time)", seconds);
	lua_concat(L, 2);
	lua_error(L);
}

static void tell(struct watchdog *w, uint64_t run, lua_State *co)
{
	if (w->told == run)
		return;
	w->told = run;
	w->on_notice(w->ctx, co, clock_ms() - atomic_load_explicit(&w->since_ms, memory_order_relaxed));
}

/* Once: the next instruction runs without it. */
static void notice_hook(lua_State *L, LS_UNUSED lua_Debug *ar)
{
	struct watchdog *w = the_watchdog;

	if (!w)
		return;
	watchdog_disarm(w);
	tell(w, watchdog_run(w), L);
}

/* On the thread that runs Lua, so it interrupts nothing but that; lua_sethook is made for it.  The profiler's own signal
 * makes compiled loops leave at their next poll, and only then do they see the hook. */
static void on_signal(LS_UNUSED int sig)
{
	struct watchdog *w = the_watchdog;
	int saved = errno;
	uint64_t run = w ? watchdog_run(w) : 0;
	bool condemned = w && run == atomic_load_explicit(&w->condemned, memory_order_relaxed);
	bool noticed = w && run == atomic_load_explicit(&w->noticed, memory_order_relaxed) && run != w->told;

	if ((run & 1) && (condemned || noticed)) {
		w->armed = 1;
		w->notices = !condemned;
		lua_sethook(w->L, condemned ? kill_hook : notice_hook,
		            LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
		pthread_kill(w->worker, SIGPROF);
	}
	errno = saved;
}

void watchdog_disarm(struct watchdog *w)
{
	bool unseen = w->notices;

	w->armed = 0;
	w->notices = 0;
	lua_sethook(w->L, NULL, 0, 0);
	/* Lua has been left with the hook unseen: it was in a C function all the time. */
	uint64_t run = watchdog_run(w);

	if (unseen && !(run & 1))
		tell(w, run - 1, NULL);
}

/* ---- the helper's thread ------------------------------------------------------------------------------------------- */

/* Sleeps; true: go on looking.  The lock is held. */
static bool nap(struct watchdog *w, uint64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!w->stopping)
		if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT)
			return true;
	return false;
}

/* What becomes of a run that has lasted for so long; how long to sleep until it must be looked at again. */
static uint64_t judge(struct watchdog *w, uint64_t run, uint64_t busy_ms, unsigned *calls)
{
	uint64_t next = UINT64_MAX;

	if (w->limit_ms && busy_ms >= w->limit_ms) {
		atomic_store_explicit(&w->condemned, run, memory_order_relaxed);
		pthread_kill(w->worker, watchdog_signal());
		return AGAIN_MS;
	}
	if (w->limit_ms)
		next = w->limit_ms - busy_ms;
	if (!w->notice_ms || *calls == CALLS_MAX)
		return next;
	if (busy_ms < w->notice_ms)
		return LS_MIN(next, w->notice_ms - busy_ms);
	/* Not for ever: a signal disturbs what a C function waits for. */
	++*calls;
	atomic_store_explicit(&w->noticed, run, memory_order_relaxed);
	pthread_kill(w->worker, watchdog_signal());
	return LS_MIN(next, (uint64_t)AGAIN_MS);
}

static uint64_t pause_of(const struct watchdog *w)
{
	uint64_t pause_ms = w->limit_ms ? w->limit_ms / LOOKS_PER_LIMIT : UINT64_MAX;

	if (w->notice_ms)
		pause_ms = LS_MIN(pause_ms, w->notice_ms / LOOKS_PER_NOTICE);
	return LS_MAX(pause_ms, (uint64_t)LOOK_MIN_MS);
}

static void *watch(void *arg)
{
	struct watchdog *w = arg;
	uint64_t pause_ms = pause_of(w);
	uint64_t nap_ms = pause_ms;
	uint64_t seen = 0;
	uint64_t since_ms = 0;
	unsigned calls = 0;

	pthread_mutex_lock(&w->lock);
	while (nap(w, nap_ms)) {
		uint64_t run = watchdog_run(w);

		nap_ms = pause_ms;
		if (!(run & 1))
			continue;
		if (run != seen) {
			seen = run;
			since_ms = clock_ms();
			atomic_store_explicit(&w->since_ms, since_ms, memory_order_relaxed);
			calls = 0;
			continue;
		}

		uint64_t next = judge(w, run, clock_ms() - since_ms, &calls);

		nap_ms = next < AGAIN_MS ? next : LS_MIN(next, LS_MAX(pause_ms, (uint64_t)AGAIN_MS));
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void init_condition(struct watchdog *w)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static int start_helper(struct watchdog *w)
{
	sigset_t all;
	sigset_t ours;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &ours);
	r = pthread_create(&w->helper, NULL, watch, w);
	/* SIGPROF is LuaJIT's: without it compiled loops do not leave. */
	sigdelset(&ours, SIGPROF);
	sigdelset(&ours, watchdog_signal());
	pthread_sigmask(SIG_SETMASK, &ours, NULL);
	return -r;
}

int watchdog_start(struct watchdog *w, lua_State *L, const struct watchdog_opts *opts, struct err *err)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int r;

	*w = (struct watchdog){
		.run = opts->run,
		.L = L,
		.limit_ms = opts->limit_ms,
		.notice_ms = opts->notice_ms,
		.on_notice = opts->on_notice,
		.ctx = opts->ctx,
		.worker = pthread_self(),
	};
	if (opts->limit_ms == 0 && opts->notice_ms == 0)
		return 0;
	assert(!the_watchdog);
	init_condition(w);
	the_watchdog = w;
	sigaction(watchdog_signal(), &action, NULL);
	r = start_helper(w);
	if (r < 0) {
		the_watchdog = NULL;
		return err_set(err, r, "the watchdog's thread does not start: %s", strerror(-r));
	}
	w->started = true;
	return 0;
}

void watchdog_stop(struct watchdog *w)
{
	if (!w->started)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->helper, NULL);
	the_watchdog = NULL;
	if (w->armed)
		watchdog_disarm(w);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	w->started = false;
}
