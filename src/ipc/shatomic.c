#include "ipc/shatomic.h"

#include "base/bits.h"
#include "base/clock.h"
#include "sys/futex.h"

enum { SLICE_MAX_MS = 20 };

bool shatomic_take(struct shatomic *a)
{
	int64_t value = shatomic_get(a);

	while (value > 0)
		if (atomic_compare_exchange_weak_explicit(&a->area->value, &value, value - 1, memory_order_acq_rel,
		                                          memory_order_acquire))
			return true;
	return false;
}

bool shatomic_wait(struct shatomic *a, uint64_t timeout_ms)
{
	uint64_t until = clock_ms() + timeout_ms, slice = 1;

	for (;;) {
		uint32_t turn = atomic_load_explicit(&a->area->turn, memory_order_acquire);
		uint64_t now;

		if (shatomic_take(a))
			return true;
		now = clock_ms();
		if (now >= until)
			return false;
		/* add() and set() wake nobody, and who wakes may die before it does: the slices end. */
		futex_wait(&a->area->turn, turn, LS_MIN(slice, until - now));
		slice = LS_MIN(slice * 2, (uint64_t)SLICE_MAX_MS);
	}
}

void shatomic_wakeup(struct shatomic *a, int n)
{
	shatomic_add(a, n);
	atomic_fetch_add_explicit(&a->area->turn, 1, memory_order_release);
	futex_wake(&a->area->turn, n);
}
