#include "loop/timer.h"

#include "loop/loop.h"

/* A timer stands on the level of the highest 6-bit group in which its due time differs from the wheel's time, in the
 * slot its due time names there.  So every timer of a lower level is due before every one of a higher level. */

enum { GROUP_BITS = 6 };

/* Longer waits are cut to this (4000 years), so that a due time never leaves the wheel's 48 bits. */
#define LONGEST_MS (1ULL << 47)

static unsigned group_of(uint64_t ms, unsigned level)
{
	return (unsigned)(ms >> (level * GROUP_BITS)) & (TIMER_SLOTS - 1);
}

static unsigned level_of(uint64_t due, uint64_t now)
{
	unsigned level = (63 - (unsigned)__builtin_clzll(due ^ now)) / GROUP_BITS;

	return level < TIMER_LEVELS ? level : TIMER_LEVELS - 1;
}

/* `t->due_ms` > w->now. */
static void put(struct timer_wheel *w, struct timer *t)
{
	unsigned level = level_of(t->due_ms, w->now);
	unsigned slot = group_of(t->due_ms, level);

	list_append(&w->slots[level][slot], &t->link);
	w->used[level] |= 1ULL << slot;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
	*w = (struct timer_wheel){ .now = now_ms };
	for (unsigned level = 0; level < TIMER_LEVELS; level++)
		for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
}

/* Bits of emptied slots are cleared here and not in timer_del(), which does not know where its timer stands. */
static bool next_on_level(struct timer_wheel *w, unsigned level, uint64_t *at)
{
	unsigned here = group_of(w->now, level);
	uint64_t later = here == TIMER_SLOTS - 1 ? 0 : w->used[level] & (~0ULL << (here + 1));

	while (later) {
		unsigned slot = (unsigned)__builtin_ctzll(later);

		if (!list_empty(&w->slots[level][slot])) {
			unsigned shift = level * GROUP_BITS;
			uint64_t above = w->now >> shift >> GROUP_BITS << GROUP_BITS << shift;

			*at = above | (uint64_t)slot << shift;
			return true;
		}
		w->used[level] &= ~(1ULL << slot);
		later &= later - 1;
	}
	return false;
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
	uint64_t at;

	for (unsigned level = 0; level < TIMER_LEVELS; level++)
		if (next_on_level((struct timer_wheel *)w, level, &at))
			return at;
	return 0;
}

/* The wheel's time has just become that of this slot: what is due fires, the rest moves to lower levels. */
static void open_slot(struct timer_wheel *w, unsigned level, struct list *due)
{
	unsigned slot = group_of(w->now, level);
	struct list *timers = &w->slots[level][slot];

	if (!(w->used[level] & 1ULL << slot))
		return;
	w->used[level] &= ~(1ULL << slot);
	LS_LIST_EACH_SAFE (it, after, timers) {
		struct timer *t = LS_CONTAINER_OF(it, struct timer, link);

		list_del(it);
		if (t->due_ms <= w->now)
			list_append(due, it);
		else
			put(w, t);
	}
}

void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms)
{
	struct list due;

	list_init(&due);
	for (;;) {
		uint64_t at = timer_wheel_next(w);

		if (at == 0 || at > now_ms)
			break;
		w->now = at;
		for (unsigned level = TIMER_LEVELS; level-- > 0;)
			open_slot(w, level, &due);
	}
	if (now_ms > w->now)
		w->now = now_ms;

	/* A callback may delete timers that are due too, so each is taken off before it runs. */
	for (struct list *it; (it = list_shift(&due));) {
		struct timer *t = LS_CONTAINER_OF(it, struct timer, link);

		t->fn(t);
	}
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	list_init(&t->link);
	t->due_ms = 0;
	t->fn = fn;
}

void timer_set(struct loop *l, struct timer *t, uint64_t after_ms)
{
	struct timer_wheel *w = &l->wheel;
	uint64_t due = loop_now(l) + LS_MIN(after_ms, LONGEST_MS);

	list_del(&t->link);
	t->due_ms = due > w->now ? due : w->now + 1;
	put(w, t);
}

void timer_del(struct loop *l LS_UNUSED, struct timer *t)
{
	list_del(&t->link);
}
