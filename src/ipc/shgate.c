#include "ipc/shgate.h"

#include "base/bits.h"
#include "base/clock.h"
#include "sys/futex.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { EXCLUSIVE = 0xffff, SPINS = 2000, SLICE_MAX_MS = 20 };

/* One word of the table, taken apart. */
struct holder {
	uint32_t member;
	uint16_t wants;
	uint16_t held; /* EXCLUSIVE, or a count */
};

static const char *const kind_names[SHGATE_KINDS] = { "mutex", "rwlock", "spin", "sem" };

int shgate_kind_find(const char *name)
{
	for (int i = 0; i < SHGATE_KINDS; i++)
		if (strcmp(name, kind_names[i]) == 0)
			return i;
	return -1;
}

const char *shgate_kind_name(enum shgate_kind kind)
{
	return kind_names[kind];
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

static struct holder load(const struct shgate *g, unsigned i)
{
	uint64_t word = atomic_load_explicit(&g->area->holders[i], memory_order_relaxed);

	return (struct holder){ (uint32_t)(word >> 32), (uint16_t)(word >> 16), (uint16_t)word };
}

static void store(struct shgate *g, unsigned i, struct holder h)
{
	uint64_t word = (uint64_t)h.member << 32 | (uint64_t)h.wants << 16 | h.held;

	if (h.wants == 0 && h.held == 0)
		word = 0;
	atomic_store_explicit(&g->area->holders[i], word, memory_order_relaxed);
}

static unsigned used(const struct shgate *g)
{
	return LS_MIN(atomic_load_explicit(&g->area->used, memory_order_relaxed), (uint32_t)SHGATE_HOLDERS);
}

/* Takes the word out if its process has died.  True: it did. */
static bool bury(struct shgate *g, unsigned i, struct holder h)
{
	if (h.member == 0 || segment_lives(&g->segment, h.member))
		return false;
	/* First, lest it be forgotten if we die between the two. */
	if (h.held == EXCLUSIVE)
		atomic_store_explicit(&g->area->died, 1, memory_order_relaxed);
	atomic_store_explicit(&g->area->holders[i], 0, memory_order_release);
	return true;
}

/* Our own word; one that is free if we have none; SHGATE_HOLDERS when all are taken. */
static unsigned find_own(struct shgate *g)
{
	unsigned n = used(g), vacant = SHGATE_HOLDERS;

	for (unsigned i = 0; i < n; i++) {
		uint32_t member = load(g, i).member;

		if (member == g->segment.self)
			return i;
		if (member == 0 && vacant == SHGATE_HOLDERS)
			vacant = i;
	}
	if (vacant < SHGATE_HOLDERS)
		return vacant;
	if (n < SHGATE_HOLDERS) {
		atomic_store_explicit(&g->area->used, n + 1, memory_order_release);
		return n;
	}
	for (unsigned i = 0; i < n && vacant == SHGATE_HOLDERS; i++)
		if (bury(g, i, load(g, i)))
			vacant = i;
	return vacant;
}

/* ---- who is in the way --------------------------------------------------------------------------------------------- */

static bool collides(const struct shgate *g, struct holder h, enum shgate_way way)
{
	if (h.member == 0)
		return false;
	if (g->kind != SHGATE_RWLOCK)
		return h.held > 0;
	return way == SHGATE_WRITE ? h.held > 0 : h.held == EXCLUSIVE || h.wants > 0;
}

/* -EAGAIN if a living process is. */
static int look(struct shgate *g, enum shgate_way way)
{
	for (unsigned i = 0, n = used(g); i < n; i++) {
		struct holder h = load(g, i);

		if (collides(g, h, way) && !bury(g, i, h))
			return -EAGAIN;
	}
	return 0;
}

/* -EAGAIN if all permits are out. */
static int look_for_permit(struct shgate *g)
{
	unsigned out = 0, n = used(g);

	for (unsigned i = 0; i < n; i++)
		out += load(g, i).held;
	for (unsigned i = 0; i < n && out >= g->permits; i++) {
		struct holder h = load(g, i);

		if (h.held && bury(g, i, h))
			out -= h.held;
	}
	return out >= g->permits ? -EAGAIN : 0;
}

static int take(struct shgate *g, enum shgate_way way)
{
	bool exclusive = g->kind != SHGATE_SEM && way == SHGATE_WRITE;
	int r = g->kind == SHGATE_SEM ? look_for_permit(g) : look(g, way);
	unsigned i = r < 0 ? 0 : find_own(g);
	struct holder h;

	if (r < 0)
		return r;
	if (i == SHGATE_HOLDERS)
		return -ENOSPC;
	h = load(g, i);
	if (!exclusive && h.held >= SHGATE_HELD_MAX)
		return -EOVERFLOW;
	h.member = g->segment.self;
	h.held = exclusive ? EXCLUSIVE : (uint16_t)(h.held + 1);
	store(g, i, h);
	if (!exclusive || !atomic_load_explicit(&g->area->died, memory_order_relaxed))
		return 0;
	atomic_store_explicit(&g->area->died, 0, memory_order_relaxed);
	return SHGATE_INHERITED;
}

/* ---- for the outside ----------------------------------------------------------------------------------------------- */

/* Whoever died with the guard left the table as it is: valid. */
static int enter(struct shgate *g)
{
	int r = shlock_lock(&g->area->guard, &g->segment, SHLOCK_PATIENCE_MS);

	return r < 0 ? r : 0;
}

static void leave(struct shgate *g)
{
	shlock_unlock(&g->area->guard, &g->segment);
}

int shgate_try(struct shgate *g, enum shgate_way way)
{
	int r = enter(g);

	if (r < 0)
		return r;
	r = take(g, way);
	leave(g);
	return r;
}

static int change_wants(struct shgate *g, int by)
{
	int r = enter(g);
	struct holder h;
	unsigned i;

	if (r < 0)
		return r;
	i = find_own(g);
	if (i < SHGATE_HOLDERS) {
		h = load(g, i);
		h.member = g->segment.self;
		if (by > 0 ? h.wants < UINT16_MAX : h.wants > 0)
			h.wants = (uint16_t)(h.wants + by);
		store(g, i, h);
	} else {
		r = -ENOSPC;
	}
	leave(g);
	return r;
}

static void wake_all(struct shgate *g)
{
	atomic_fetch_add_explicit(&g->area->turn, 1, memory_order_release);
	futex_wake(&g->area->turn, INT_MAX);
}

int shgate_want(struct shgate *g)
{
	return g->kind == SHGATE_RWLOCK ? change_wants(g, 1) : 0;
}

void shgate_unwant(struct shgate *g)
{
	if (g->kind != SHGATE_RWLOCK)
		return;
	change_wants(g, -1);
	wake_all(g);
}

static int try_often(struct shgate *g, enum shgate_way way)
{
	int r = -EAGAIN;

	for (int i = 0; i < SPINS && r == -EAGAIN; i++)
		r = shgate_try(g, way);
	return r;
}

static int wait_turns(struct shgate *g, enum shgate_way way, uint64_t timeout_ms)
{
	uint64_t until = clock_ms() + timeout_ms, slice = 1;

	for (;;) {
		uint32_t turn = atomic_load_explicit(&g->area->turn, memory_order_acquire);
		int r = shgate_try(g, way);
		uint64_t now = clock_ms();

		if (r != -EAGAIN)
			return r;
		if (now >= until)
			return -ETIMEDOUT;
		/* One that dies gives nothing back: the slices end, and the next try sees that it is dead. */
		futex_wait(&g->area->turn, turn, LS_MIN(slice, until - now));
		slice = LS_MIN(slice * 2, (uint64_t)SLICE_MAX_MS);
	}
}

int shgate_wait(struct shgate *g, enum shgate_way way, uint64_t timeout_ms)
{
	int r = g->kind == SHGATE_SPIN ? try_often(g, way) : shgate_try(g, way);
	bool wants = way == SHGATE_WRITE && r == -EAGAIN;

	if (r != -EAGAIN)
		return r;
	if (wants && (r = shgate_want(g)) < 0)
		return r;
	r = wait_turns(g, way, timeout_ms);
	if (wants)
		shgate_unwant(g);
	return r;
}

int shgate_release(struct shgate *g)
{
	int r = enter(g);
	struct holder h = { 0 };
	unsigned i;

	if (r < 0)
		return r;
	i = find_own(g);
	if (i < SHGATE_HOLDERS)
		h = load(g, i);
	if (h.held) {
		h.held = h.held == EXCLUSIVE ? 0 : (uint16_t)(h.held - 1);
		store(g, i, h);
	} else {
		r = -EPERM;
	}
	leave(g);
	if (r == 0)
		wake_all(g);
	return r;
}

int shgate_count(struct shgate *g)
{
	int r = enter(g);
	int sum = 0;

	if (r < 0)
		return r;
	for (unsigned i = 0, n = used(g); i < n; i++) {
		struct holder h = load(g, i);

		if (h.held && !bury(g, i, h))
			sum += h.held == EXCLUSIVE ? 1 : h.held;
	}
	leave(g);
	return sum;
}
