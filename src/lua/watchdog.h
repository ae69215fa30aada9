/* The watchdog: raises an error in Lua that runs too long without yielding (max_execution_time).
 *
 * The worker's thread says when Lua is entered and left, by one relaxed store each.  A helper thread looks now and then,
 * and when it has seen the same run for longer than the limit, it signals the worker's thread; the handler sets a hook
 * that raises an error at every instruction until the coroutine has unwound, so that no pcall can swallow it.  A C
 * function that does not return is beyond it: the supervisor kills the process then.  One per process.
 */
#pragma once

#include "lua/state.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct watchdog {
	_Atomic uint64_t run;       /* odd: Lua runs; the worker's thread adds 1 at each enter and leave */
	_Atomic uint64_t condemned; /* the run that is to end; written by the helper */
	uint64_t limit_ms;
	lua_State *L;
	volatile sig_atomic_t armed; /* the hook is set; handler and worker's thread only */
	pthread_t worker;
	pthread_t helper;
	pthread_mutex_t lock; /* stopping */
	pthread_cond_t wake;
	bool stopping;
	bool started;
};

/* Called in the thread that runs `L`, where it unblocks the two signals it needs.  limit_ms 0: does nothing. */
int watchdog_start(struct watchdog *w, lua_State *L, uint64_t limit_ms, struct err *err);
/* Before state_close(); harmless if it was not started. */
void watchdog_stop(struct watchdog *w);
/* Takes the hook off: Lua has unwound. */
void watchdog_disarm(struct watchdog *w);

static inline void watchdog_enter(struct watchdog *w)
{
	atomic_store_explicit(&w->run, atomic_load_explicit(&w->run, memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline void watchdog_leave(struct watchdog *w)
{
	atomic_store_explicit(&w->run, atomic_load_explicit(&w->run, memory_order_relaxed) + 1, memory_order_relaxed);
	/* The handler arms nothing any more; what it armed before is seen here. */
	atomic_signal_fence(memory_order_seq_cst);
	if (w->armed)
		watchdog_disarm(w);
}
