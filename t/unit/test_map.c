/* t/unit/test_map.c — the map agrees with a plain array under random use, and clusters close when entries go. */
#include "base/map.c"

#include "tap.h"

enum { KEYS = 4096, STEPS = 400000 };

static char values[KEYS];
static void *model[KEYS];

/* Keys as they come: packed ids, whose low bits are alike. */
static uint64_t key_of(int i, int shape)
{
	return shape == 0 ? (uint64_t)i : (uint64_t)i << (shape == 1 ? 24 : 45) | 7;
}

static bool agrees(const struct map *m, int shape)
{
	const struct map_entry *e;
	size_t cursor = 0, seen = 0, expected = 0;

	for (int i = 0; i < KEYS; i++) {
		expected += model[i] != NULL;
		if (map_get(m, key_of(i, shape)) != model[i])
			return false;
	}
	while ((e = map_next(m, &cursor)) != NULL)
		seen++;
	return seen == expected && m->count == expected;
}

static void random_use(int shape)
{
	struct map m;
	bool sound = true;

	map_init(&m);
	for (int i = 0; i < KEYS; i++)
		model[i] = NULL;
	srand(shape);
	for (int step = 0; step < STEPS; step++) {
		int i = rand() % KEYS;

		if (rand() % 2) {
			map_put(&m, key_of(i, shape), model[i] = &values[rand() % KEYS]);
		} else {
			sound = sound && map_del(&m, key_of(i, shape)) == model[i];
			model[i] = NULL;
		}
		if (step % 50000 == 0)
			sound = sound && agrees(&m, shape);
	}
	ok(sound && agrees(&m, shape), "random puts and deletes, keys of shape %d", shape);
	ok(m.cap <= 8192, "the table stays in bounds (%zu)", m.cap);
	map_fini(&m);
}

static void edges(void)
{
	struct map m;
	size_t cursor = 0;

	map_init(&m);
	ok(!map_get(&m, 0) && !map_del(&m, 0) && !map_next(&m, &cursor), "an empty map has nothing and no memory");
	map_put(&m, 0, values);
	map_put(&m, UINT64_MAX, values + 1);
	map_put(&m, 0, values + 2);
	ok(m.count == 2 && map_get(&m, 0) == values + 2, "key 0 is a key like others, and is replaced");
	ok(map_del(&m, 0) == values + 2 && map_get(&m, UINT64_MAX) == values + 1, "and goes");
	map_fini(&m);
	map_fini(&m);
}

/* Ids of successive connections must not pile up. */
static void spreads_ids(void)
{
	struct map m;
	size_t worst = 0, run = 0;

	map_init(&m);
	for (uint64_t i = 0; i < 10000; i++)
		map_put(&m, i << 24 | (i * 31 & 0xff), values);
	for (size_t i = 0; i < m.cap; i++) {
		run = m.entries[i].value ? run + 1 : 0;
		worst = run > worst ? run : worst;
	}
	ok(worst < 200, "the longest cluster of 10000 ids is %zu", worst);
	map_fini(&m);
}

int main(void)
{
	edges();
	for (int shape = 0; shape < 3; shape++)
		random_use(shape);
	spreads_ids();
	return tap_done();
}
