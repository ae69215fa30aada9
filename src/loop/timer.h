/* Timers of one loop, in a hierarchical wheel of 1 ms ticks: setting and deleting are O(1), so that a hundred thousand
 * idle timers cost nothing.  One uv_timer drives the wheel.
 */
#pragma once

#include "base/bits.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct timer {
	struct list link;
	uint64_t due_ms;
	void (*fn)(struct timer *t); /* runs from the loop, with the timer already unset */
};

enum { TIMER_LEVELS = 8, TIMER_SLOTS = 64 };

struct timer_wheel {
	uint64_t now;                /* everything due until now has fired */
	uint64_t used[TIMER_LEVELS]; /* bit i: slot i holds timers */
	struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_init(struct timer *t, void (*fn)(struct timer *t));
/* Fires `after_ms` from loop_now(); set again: moved.  0 fires at the next turn. */
void timer_set(struct loop *l, struct timer *t, uint64_t after_ms);
/* Harmless if it is not set. */
void timer_del(struct loop *l, struct timer *t);

static inline bool timer_is_set(const struct timer *t)
{
	return list_linked(&t->link);
}

/* For loop.c. */
void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms);
/* Fires everything due until `now_ms`. */
void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms);
/* When the wheel must be advanced next; 0: nothing is set. */
uint64_t timer_wheel_next(const struct timer_wheel *w);
