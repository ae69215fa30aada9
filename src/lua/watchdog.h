/* The watchdog: tells of Lua that runs long without yielding (block_warning), and raises an error in it when it runs too long
 * (max_execution_time).
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
	_Atomic uint64_t *run;      /* odd: Lua runs; the worker's thread adds 1 at each enter and leave */
	_Atomic uint64_t condemned; /* the run that is to end; written by the helper */
	_Atomic uint64_t noticed;   /* the run that is to be told of; written by the helper */
	_Atomic uint64_t since_ms;  /* when the helper saw it first */
	uint64_t limit_ms;
	uint64_t notice_ms;
	/* The run has lasted for `ms` already; `co` is where it is, NULL: it has ended, having been in C all the time. */
	void (*on_notice)(void *ctx, lua_State *co, uint64_t ms);
	void *ctx;
	uint64_t told;                 /* the last run that on_notice was called for; worker's thread only */
	volatile sig_atomic_t notices; /* the hook only tells; handler and worker's thread only */
	lua_State *L;
	volatile sig_atomic_t armed; /* the hook is set; handler and worker's thread only */
	pthread_t worker;
	pthread_t helper;
	pthread_mutex_t lock; /* stopping */
	pthread_cond_t wake;
	bool stopping;
	bool started;
};

struct watchdog_opts {
	_Atomic uint64_t *run; /* where runs are counted, for others to see; outlives the watchdog */
	uint64_t limit_ms;     /* 0: no limit */
	uint64_t notice_ms;    /* 0: nothing is told */
	void (*on_notice)(void *ctx, lua_State *co, uint64_t ms);
	void *ctx;
};

/* Called in the thread that runs `L`, where it unblocks the two signals it needs.  Without limit and notice it does nothing. */
int watchdog_start(struct watchdog *w, lua_State *L, const struct watchdog_opts *opts, struct err *err);
/* Before state_close(); harmless if it was not started. */
void watchdog_stop(struct watchdog *w);
/* Takes the hook off: Lua has unwound. */
void watchdog_disarm(struct watchdog *w);

static inline uint64_t watchdog_run(const struct watchdog *w)
{
	return atomic_load_explicit(w->run, memory_order_relaxed);
}

static inline void watchdog_enter(struct watchdog *w)
{
	atomic_store_explicit(w->run, watchdog_run(w) + 1, memory_order_relaxed);
}

static inline void watchdog_leave(struct watchdog *w)
{
	atomic_store_explicit(w->run, watchdog_run(w) + 1, memory_order_relaxed);
	/* The handler arms nothing any more; what it armed before is seen here. */
	atomic_signal_fence(memory_order_seq_cst);
	if (w->armed)
		watchdog_disarm(w);
}
