/* One event loop of one thread: an epoll set of our own for sockets, pipes and bells, with a uv_loop_t inside it.
 *
 * A turn: timers, before_sleep hooks (publish what was queued), sleep, descriptor events, libuv's callbacks if it has any,
 * after_wake hooks, closed watches.  libuv gives what is not the hot path: wake-ups from other threads (post.c) and, later,
 * name resolution, file events and the thread pool (ADR 9).  Created after exec only, never inherited.
 */
#pragma once

#include "base/list.h"
#include "loop/timer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

enum { LOOP_BATCH = 256 };

struct loop_hook {
	struct list link;
	/* Before the loop sleeps.  True: there is work left, poll without sleeping. */
	bool (*before_sleep)(void *ctx);
	/* After descriptor events were handled. */
	void (*after_wake)(void *ctx);
	void *ctx;
};

struct loop {
	uv_loop_t uv;
	int epoll;
	int n_events; /* in `events`, of this turn */
	struct epoll_event
		events[LOOP_BATCH]; /* data.ptr: struct watch; NULL: closed meanwhile; the loop itself: libuv */
	struct list hooks;
	struct list closing; /* struct watch.closing: on_closed is due at the end of the turn */
	struct timer_wheel wheel;
	uint64_t now_ms;
	uint64_t wall_us; /* 0: not read since the last sleep */
	uint64_t turns;
	bool uv_due; /* libuv must run before we sleep: it got new handles, or some are closing */
	bool stopping;
};

/* 0 or negative errno. */
int loop_init(struct loop *l);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One turn; with `wait` it may sleep until something happens. */
void loop_turn(struct loop *l, bool wait);
/* Closes what is still open in the loop and frees it; nothing may use it afterwards. */
void loop_fini(struct loop *l);
/* Hooks run in the order they were added.  `hook` is the caller's and outlives the loop or is removed. */
void loop_add_hook(struct loop *l, struct loop_hook *hook);
/* In front of those that are there. */
void loop_add_hook_first(struct loop *l, struct loop_hook *hook);
void loop_del_hook(struct loop *l, struct loop_hook *hook);

/* Monotonic milliseconds, read before and after the sleep of each turn. */
static inline uint64_t loop_now(const struct loop *l)
{
	return l->now_ms;
}

/* The wall clock in microseconds since 1970, read at most once after the sleep of each turn. */
uint64_t loop_wall_us(struct loop *l);
