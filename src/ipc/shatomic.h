/* What stands behind luaserv.atomic: one number that processes count with, and that they can wait on.
 *
 * Every change is one instruction, so no death leaves anything half done.  A wake-up is a 1 that is added; who waits
 * takes it off, so none is lost if it comes first.
 */
#pragma once

#include "ipc/segment.h"

#include <stdbool.h>

struct shatomic_area {
	struct segment_head head;
	_Atomic int64_t value;
	_Atomic uint32_t turn; /* changes with each wake-up; waiters sleep on it */
};

struct shatomic {
	struct segment segment;
	struct shatomic_area *area;
};

static inline int64_t shatomic_get(const struct shatomic *a)
{
	return atomic_load_explicit(&a->area->value, memory_order_acquire);
}

static inline void shatomic_set(struct shatomic *a, int64_t value)
{
	atomic_store_explicit(&a->area->value, value, memory_order_release);
}

/* The new value. */
static inline int64_t shatomic_add(struct shatomic *a, int64_t by)
{
	return (int64_t)((uint64_t)atomic_fetch_add_explicit(&a->area->value, by, memory_order_acq_rel) + (uint64_t)by);
}

static inline bool shatomic_cmpset(struct shatomic *a, int64_t wanted, int64_t value)
{
	return atomic_compare_exchange_strong_explicit(&a->area->value, &wanted, value, memory_order_acq_rel,
	                                               memory_order_acquire);
}

/* Takes 1 off if the value is above 0. */
bool shatomic_take(struct shatomic *a);
/* Sleeps until it took 1 off; so long at most: false. */
bool shatomic_wait(struct shatomic *a, uint64_t timeout_ms);
/* Adds `n` and wakes as many. */
void shatomic_wakeup(struct shatomic *a, int n);
