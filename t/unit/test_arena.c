/* t/unit/test_arena.c — allocations are aligned and apart; clearing runs deferred calls backwards and frees. */
#include "base/arena.c"

#include "tap.h"

enum { MANY = 2000 };

static void allocations_are_apart(void)
{
	static char *p[MANY];
	static size_t sizes[MANY];
	struct arena a;
	bool aligned = true, whole = true;

	arena_init(&a);
	srand(3);
	for (int i = 0; i < MANY; i++) {
		sizes[i] = (size_t)(rand() % (i % 50 == 0 ? 20000 : 300));
		p[i] = arena_alloc(&a, sizes[i]);
		aligned = aligned && (uintptr_t)p[i] % ALIGN == 0;
		memset(p[i], i & 0xff, sizes[i]);
	}
	for (int i = 0; i < MANY; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			whole = whole && p[i][k] == (char)i;
	ok(aligned, "aligned to 16");
	ok(whole, "nothing overlaps, small or large");
	arena_clear(&a);
	ok(!a.chunk && !a.bytes, "a cleared arena owns nothing");
	ok(chunks.count > 10, "its chunks rest in the pool");
}

static void large_ones_waste_no_room(void)
{
	struct arena a;
	char *first, *second;

	arena_init(&a);
	first = arena_alloc(&a, 16);
	arena_alloc(&a, 100000);
	second = arena_alloc(&a, 16);
	ok(second == first + 16, "a large allocation leaves the newest chunk in use");
	arena_clear(&a);

	arena_alloc(&a, 100000);
	ok(a.chunk && arena_zalloc(&a, 8), "a large one may come first");
	arena_clear(&a);
}

static void idle_costs_nothing(void)
{
	struct arena a;
	unsigned before;

	arena_init(&a);
	arena_clear(&a);
	before = chunks.count;
	for (int i = 0; i < 1000; i++) {
		arena_alloc(&a, 1000);
		arena_clear(&a);
	}
	ok(chunks.count == before, "the steady state takes chunks from the pool");
	ok(strcmp(arena_dup(&a, "abc", 2), "ab") == 0 && arena_dup(&a, NULL, 0)[0] == '\0', "copies are terminated");
	arena_clear(&a);
}

static char called[8];

static void note(void *arg)
{
	strncat(called, arg, 1);
}

static struct arena *again;

static void note_and_defer(void *arg)
{
	note(arg);
	arena_defer(again, note, "z");
}

static void deferred_calls(void)
{
	struct arena a;

	arena_init(&a);
	arena_defer(&a, note, "a");
	arena_defer(&a, note, "b");
	arena_clear(&a);
	ok(strcmp(called, "ba") == 0, "deferred calls run backwards");
	arena_clear(&a);
	ok(strcmp(called, "ba") == 0, "and once");
	again = &a;
	called[0] = '\0';
	arena_defer(&a, note, "1");
	arena_defer(&a, note_and_defer, "2");
	arena_clear(&a);
	ok(strcmp(called, "2z1") == 0 && !a.cleanups, "one may defer another");
}

int main(void)
{
	allocations_are_apart();
	large_ones_waste_no_room();
	idle_costs_nothing();
	deferred_calls();
	arena_trim();
	ok(chunks.count == 0, "trimming empties the pool");
	return tap_done();
}
