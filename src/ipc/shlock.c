#include "ipc/shlock.h"

#include "base/bits.h"
#include "base/clock.h"
#include "sys/futex.h"

#include <errno.h>

enum { SPINS = 200, SLICE_MAX_MS = 20 };

/* In the word: somebody sleeps on it. */
#define WAITED 0x80000000u

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static bool exchange(struct shlock *l, uint32_t seen, uint32_t wanted)
{
	return atomic_compare_exchange_strong_explicit(&l->word, &seen, wanted, memory_order_acquire,
	                                               memory_order_relaxed);
}

/* Others are inside for a few hundred instructions: often it is free before a sleep would have begun. */
static bool spin(struct shlock *l, const struct segment *s)
{
	for (int i = 0; i < SPINS; i++) {
		if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && shlock_try(l, s))
			return true;
		relax();
	}
	return false;
}

int shlock_wait(struct shlock *l, const struct segment *s, unsigned timeout_ms)
{
	uint64_t until = clock_ms() + timeout_ms, slice = 1;
	/* One who has slept cannot know whether others still do. */
	uint32_t waited = 0;

	if (spin(l, s))
		return 0;
	for (;;) {
		uint32_t seen = atomic_load_explicit(&l->word, memory_order_relaxed);

		if (seen == 0) {
			if (exchange(l, 0, s->self | waited))
				return 0;
			continue;
		}
		if (!(seen & WAITED) && !exchange(l, seen, seen | WAITED))
			continue;
		seen |= WAITED;
		waited = WAITED;
		if (futex_wait(&l->word, seen, slice) != -ETIMEDOUT)
			continue;
		if (!segment_lives(s, seen & ~WAITED) && exchange(l, seen, s->self | WAITED))
			return SHLOCK_INHERITED;
		if (clock_ms() >= until)
			return -ETIMEDOUT;
		slice = LS_MIN(slice * 2, (uint64_t)SLICE_MAX_MS);
	}
}

void shlock_wake(struct shlock *l)
{
	futex_wake(&l->word, 1);
}
