/* One event loop of one thread: a uv_loop_t with hooks around its sleep.
 *
 * A turn: timers, before_sleep hooks (publish what was queued), sleep, descriptor events, after_wake hooks (drain what
 * came), closed handles.  Created after exec only, never inherited.
 */
#pragma once

#include "base/list.h"
#include "loop/timer.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

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
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle;
	uv_timer_t alarm;
	struct list hooks;
	struct timer_wheel wheel;
	uint64_t alarm_due; /* what the uv_timer is set to; 0: not set */
	uint64_t turns;
	bool stopping;
};

/* 0 or negative errno. */
int loop_init(struct loop *l);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One turn without sleeping: handles that were closed get their callbacks. */
void loop_turn(struct loop *l);
/* Closes what is still open in the loop and frees it; nothing may use it afterwards. */
void loop_fini(struct loop *l);
/* Hooks run in the order they were added.  `hook` is the caller's and outlives the loop or is removed. */
void loop_add_hook(struct loop *l, struct loop_hook *hook);
/* In front of those that are there. */
void loop_add_hook_first(struct loop *l, struct loop_hook *hook);
void loop_del_hook(struct loop *l, struct loop_hook *hook);

/* Monotonic milliseconds, read once per turn. */
static inline uint64_t loop_now(const struct loop *l)
{
	return uv_now(&l->uv);
}
