/* A lock in shared memory whose owner may be killed at any instruction.
 *
 * One word: 0 is free, else it holds the member number of the process that has it (segment.h) and whether somebody waits.
 * One who waits sleeps in slices and looks at the end of each whether the owner lives; if not, it takes the lock over by
 * exchanging the very word it saw.  Since numbers are never used again, only one gets it, and never from a living owner.
 *
 * What the owner was doing is then half done: shlock_lock() says so, and whoever calls it repairs what the lock guards.
 * Not recursive.  The owner is the process: its threads exclude each other as well, and die together.
 */
#pragma once

#include "ipc/segment.h"

enum { SHLOCK_INHERITED = 1, SHLOCK_PATIENCE_MS = 5000 };

struct shlock {
	_Atomic uint32_t word;
};

int shlock_wait(struct shlock *l, const struct segment *s, unsigned timeout_ms);
void shlock_wake(struct shlock *l);

static inline bool shlock_try(struct shlock *l, const struct segment *s)
{
	uint32_t free_word = 0;

	return atomic_compare_exchange_strong_explicit(&l->word, &free_word, s->self, memory_order_acquire,
	                                               memory_order_relaxed);
}

/* 0: the caller has it; SHLOCK_INHERITED: so too, and its last owner died in the middle of something; -ETIMEDOUT: the owner
 * lives and does not give it back (it was stopped, say). */
static inline int shlock_lock(struct shlock *l, const struct segment *s, unsigned timeout_ms)
{
	return shlock_try(l, s) ? 0 : shlock_wait(l, s, timeout_ms);
}

static inline void shlock_unlock(struct shlock *l, const struct segment *s)
{
	/* Pairs with the acquire of the next owner. */
	if (atomic_exchange_explicit(&l->word, 0, memory_order_release) != s->self)
		shlock_wake(l);
}
