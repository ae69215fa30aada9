/* t/unit/test_slots.c — ids are found while they live and never again; none is 0. */
#include "base/slots.c"

#include "tap.h"

static char objects[SLOTS_MAX];

static void ids_live_and_end(void)
{
	struct slots s;
	conn_id a, b;

	slots_init(&s, 3, 77);
	a = slots_add(&s, &objects[0]);
	b = slots_add(&s, &objects[1]);
	ok(conn_id_owner(a) == 3 && conn_id_slot(a) == 0 && conn_id_generation(a) == 77, "an id tells its parts");
	ok(conn_id_slot(b) == 1 && a < 1ULL << 53, "and fits a Lua number");
	ok(slots_get(&s, a) == &objects[0] && slots_get(&s, b) == &objects[1] && s.count == 2, "objects are found");
	slots_del(&s, a);
	ok(!slots_get(&s, a) && slots_get(&s, b) && s.count == 1, "an ended id is stale");
	slots_del(&s, a);
	ok(s.count == 1, "ending it twice does no harm");
	ok(!slots_get(&s, b ^ 1ULL << 45) && !slots_get(&s, ~0ULL) && !slots_get(&s, b | 1ULL << 53),
	   "foreign ids are not found");
	slots_fini(&s);
	slots_fini(&s);
}

static void reuse_is_first_in_first_out(void)
{
	static conn_id ids[CAP_MIN];
	struct slots s;
	conn_id first, second;

	slots_init(&s, 1, 0);
	for (int i = 0; i < CAP_MIN; i++)
		ids[i] = slots_add(&s, objects);
	slots_del(&s, ids[9]);
	slots_del(&s, ids[4]);
	first = slots_add(&s, objects);
	second = slots_add(&s, objects);
	ok(conn_id_slot(first) == 9 && conn_id_slot(second) == 4, "the slot freed first is used first");
	ok(conn_id_generation(first) == 1 && !slots_get(&s, ids[9]), "with the next generation");
	ok(s.cap == CAP_MIN && conn_id_slot(slots_add(&s, objects)) == CAP_MIN && s.cap == 2 * CAP_MIN,
	   "the table grows when nothing is free");
	slots_fini(&s);
}

static void no_id_is_zero(void)
{
	struct slots s;
	conn_id id;

	slots_init(&s, 0, 0);
	id = slots_add(&s, objects);
	ok(id != 0, "the very first id is not 0");
	s.entries[0].generation = SLOTS_GENERATIONS - 1;
	slots_del(&s, SLOTS_GENERATIONS - 1);
	ok(s.count == 0 && s.entries[0].generation == 1, "nor is one after the generations wrap");
	slots_fini(&s);

	slots_init(&s, 1, SLOTS_GENERATIONS + 5);
	id = slots_add(&s, objects);
	ok(conn_id_generation(id) == 5, "the first generation is taken modulo 2^24");
	s.entries[0].generation = SLOTS_GENERATIONS - 1;
	slots_del(&s, 1ULL << 45 | (SLOTS_GENERATIONS - 1));
	ok(s.entries[0].generation == 0, "where the owner is not 0, generation 0 is used");
	slots_fini(&s);
}

static void the_table_ends(void)
{
	struct slots s;
	bool all = true;
	conn_id last = 0;
	uint32_t cursor = 0, seen = 0;

	slots_init(&s, 255, 1);
	for (int i = 0; i < SLOTS_MAX; i++) {
		last = slots_add(&s, &objects[i]);
		all = all && last && slots_get(&s, last) == &objects[i];
	}
	ok(all && s.count == SLOTS_MAX, "2^21 objects have ids");
	ok(slots_add(&s, objects) == 0, "one more has not");
	slots_del(&s, last);
	ok(slots_add(&s, objects) != 0, "until one goes");
	slots_del(&s, (conn_id)255 << 45 | 5ULL << 24 | 1);
	while (slots_next(&s, &cursor))
		seen++;
	ok(seen == SLOTS_MAX - 1, "a walk meets every object once");
	slots_fini(&s);
}

int main(void)
{
	ids_live_and_end();
	reuse_is_first_in_first_out();
	no_id_is_zero();
	the_table_ends();
	return tap_done();
}
