/* t/unit/test_shtable.c — a table holds what it promised, no reader sees half a row, and a death at any instruction leaves it
 * whole. */
#include "ipc/shtable.c"

#include "shared_steps.h"
#include "tap.h"

#include <stdio.h>

enum { ROWS = 16, DATA = 64, WORDS = DATA / 8, KEYS = 8, READS = 200000, KILLS = 500 };

struct table {
	struct shtable t;
	char scratch[DATA];
};

static int fd;

static struct table *join_table(int from, uint32_t rows)
{
	struct table *t = calloc(1, sizeof *t);

	if (!t || segment_open(&t->t.segment, from, shtable_bytes(rows, DATA)) < 0)
		_exit(1);
	shtable_init(&t->t, rows, DATA, t->scratch);
	return t;
}

static void leave_table(struct table *t)
{
	segment_close(&t->t.segment);
	free(t);
}

static void *open_small(int from, void *ctx)
{
	(void)ctx;
	return join_table(from, ROWS);
}

static struct str key_of(unsigned i)
{
	static char text[32];

	return str_make(text, (size_t)snprintf(text, sizeof text, "key %u", i));
}

/* Each row is one number, WORDS times. */
static int fill(void *ctx, char *data)
{
	for (int i = 0; i < WORDS; i++)
		memcpy(data + 8 * i, ctx, 8);
	return 0;
}

static int put(struct table *t, unsigned key, uint64_t value)
{
	return shtable_write(&t->t, key_of(key), SHTABLE_SET, fill, &value);
}

/* The number; UINT64_MAX: no such row; a torn one: UINT64_MAX - 1. */
static uint64_t value_of(const char *data)
{
	uint64_t words[WORDS];

	memcpy(words, data, sizeof words);
	for (int i = 1; i < WORDS; i++)
		if (words[i] != words[0])
			return UINT64_MAX - 1;
	return words[0];
}

static uint64_t look_up(struct table *t, unsigned key)
{
	char data[DATA];

	return shtable_get(&t->t, key_of(key), data) < 0 ? UINT64_MAX : value_of(data);
}

static unsigned walk(struct table *t)
{
	char key[SHTABLE_KEY_MAX], data[DATA];
	uint32_t cursor = 0;
	unsigned n = 0;

	while (shtable_next(&t->t, &cursor, key, data))
		n += value_of(data) < UINT64_MAX - 1;
	return n;
}

static void test_basics(void)
{
	struct table *t = join_table(fd, ROWS);
	char data[DATA];
	uint64_t nine = 9;
	int full = 0;

	ok(look_up(t, 1) == UINT64_MAX && put(t, 1, 5) == 0 && look_up(t, 1) == 5, "set and get");
	ok(put(t, 1, 6) == 0 && look_up(t, 1) == 6 && shtable_count(&t->t) == 1, "set again");
	ok(shtable_write(&t->t, key_of(1), SHTABLE_ADD, fill, &nine) == -EEXIST && look_up(t, 1) == 6, "add");
	ok(shtable_write(&t->t, key_of(2), SHTABLE_UPDATE, fill, &nine) == -ENOENT && look_up(t, 2) == UINT64_MAX,
	   "update");
	ok(shtable_get(&t->t, str_make("", 0), data) == -EINVAL, "no empty key");
	ok(shtable_del(&t->t, key_of(1), data) == 0 && value_of(data) == 6, "delete tells what there was");
	ok(shtable_del(&t->t, key_of(1), NULL) == -ENOENT && shtable_count(&t->t) == 0, "once");
	for (unsigned i = 0; i < ROWS; i++)
		full += put(t, i, i) == 0;
	ok(full == ROWS && put(t, ROWS, 1) == -ENOSPC && shtable_count(&t->t) == ROWS,
	   "all promised rows, not one more");
	for (unsigned i = 0; i < ROWS; i++)
		full -= look_up(t, i) == i;
	ok(full == 0 && walk(t) == ROWS, "all are found, and walked over");
	for (unsigned i = 0; i < ROWS; i += 2)
		shtable_del(&t->t, key_of(i), NULL);
	ok(walk(t) == ROWS / 2 && put(t, 100, 1) == 0, "room again");
	for (unsigned i = 0; i <= 100; i++)
		shtable_del(&t->t, key_of(i), NULL);
	ok(shtable_count(&t->t) == 0 && walk(t) == 0, "empty");
	leave_table(t);
}

/* ---- processes ----------------------------------------------------------------------------------------------------- */

static void write_forever(void *ctx)
{
	struct table *t = join_table(fd, ROWS);

	(void)ctx;
	srand((unsigned)getpid());
	for (uint64_t n = 1;; n++) {
		unsigned key = (unsigned)rand() % KEYS;

		if (rand() % 4 == 0)
			shtable_del(&t->t, key_of(key), NULL);
		else
			put(t, key, n);
	}
}

static bool is_sound(struct table *t)
{
	unsigned found = 0, fit = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		uint64_t value = look_up(t, i);

		if (value == UINT64_MAX - 1)
			return false;
		put(t, i, 7); /* repairs the bucket */
	}
	for (unsigned i = 0; i < KEYS; i++)
		found += look_up(t, i) == 7;
	for (unsigned i = KEYS; i < 2 * ROWS; i++)
		fit += put(t, i, i) == 0;
	if (found != KEYS || fit != ROWS - KEYS || shtable_count(&t->t) != ROWS || walk(t) != ROWS)
		return false;
	for (unsigned i = KEYS; i < 2 * ROWS; i++)
		shtable_del(&t->t, key_of(i), NULL);
	return shtable_count(&t->t) == KEYS && walk(t) == KEYS;
}

static void test_readers(void)
{
	struct table *t = join_table(fd, ROWS);
	pid_t one = start_child(write_forever, NULL), two = start_child(write_forever, NULL);
	unsigned torn = 0, seen = 0;

	for (unsigned i = 0; i < READS; i++) {
		uint64_t value = look_up(t, i % KEYS);

		torn += value == UINT64_MAX - 1;
		seen += value < UINT64_MAX - 1;
		if (i % 64 == 0)
			walk(t);
	}
	kill_child(one);
	kill_child(two);
	ok(torn == 0 && seen > 0, "%u rows read beside two writers, %u of them torn", seen, torn);
	ok(is_sound(t), "sound after the writers were killed");
	leave_table(t);
}

static void test_kills(void)
{
	struct table *t = join_table(fd, ROWS);
	unsigned bad = 0;

	for (int i = 0; i < KILLS; i++) {
		pid_t one = start_child(write_forever, NULL), two = start_child(write_forever, NULL);

		let_run(2000);
		kill_child(one);
		kill_child(two);
		bad += !is_sound(t);
	}
	ok(bad == 0, "%d times two writers killed, sound each time", KILLS);
	leave_table(t);
}

/* ---- each instruction ---------------------------------------------------------------------------------------------- */

struct act {
	const char *name;
	int key; /* of 0 … KEYS - 1; those below KEYS / 2 exist */
	bool deletes;
};

static void operate(void *object, void *ctx)
{
	const struct act *a = ctx;

	if (a->deletes)
		shtable_del(&((struct table *)object)->t, key_of((unsigned)a->key), NULL);
	else
		put(object, (unsigned)a->key, 1000);
}

/* Others are untouched; the one in question is as before or as after; then everything works, no row is lost. */
static bool holds(int copy, void *ctx)
{
	const struct act *a = ctx;
	struct table *t = join_table(copy, ROWS);
	bool good = true;

	for (int i = 0; i < KEYS; i++) {
		uint64_t before = i < KEYS / 2 ? (uint64_t)i : UINT64_MAX, value = look_up(t, (unsigned)i);
		uint64_t after = i != a->key ? before : a->deletes ? UINT64_MAX : 1000;

		good = good && (value == before || value == after);
	}
	good = good && is_sound(t);
	leave_table(t);
	return good;
}

static void test_steps(void)
{
	static struct act acts[] = {
		{ "change", 1, false },
		{ "insert", KEYS - 1, false },
		{ "delete", 1, true },
		{ "insert a used row", 6, false },
	};

	for (size_t i = 0; i < LS_COUNT(acts); i++) {
		struct steps s = {
			.fd = shm_create("test", shtable_bytes(ROWS, DATA)),
			.bytes = shtable_bytes(ROWS, DATA),
			.open = open_small,
			.operate = operate,
			.holds = holds,
			.ctx = &acts[i],
		};
		struct table *t = join_table(s.fd, ROWS);

		for (unsigned k = 0; k < KEYS / 2; k++)
			put(t, k, k);
		if (i == 3) {
			put(t, 50, 1);
			shtable_del(&t->t, key_of(50), NULL);
		}
		leave_table(t);
		if (!steps_run(&s))
			ok(true, "# SKIP processes cannot be traced here");
		else
			ok(s.broken == 0 && s.states > 3, "%s: %u instructions, %u states, %u of them broken",
			   acts[i].name, s.instructions, s.states, s.broken);
		fd_close(&s.fd);
	}
}

/* ---- hostile bytes --------------------------------------------------------------------------------------------------- */

static void test_nonsense(void)
{
	struct table *t = join_table(fd, ROWS);
	char *bytes = t->t.segment.map.p;

	srand(7);
	for (int i = 0; i < 3000; i++) {
		for (int k = 0; k < 20; k++)
			bytes[SEGMENT_HEAD + (size_t)rand() % (shtable_bytes(ROWS, DATA) - SEGMENT_HEAD)] =
				(char)rand();
		put(t, (unsigned)rand() % KEYS, 1);
		look_up(t, (unsigned)rand() % KEYS);
		shtable_del(&t->t, key_of((unsigned)rand() % KEYS), NULL);
		walk(t);
	}
	ok(true, "nonsense in the memory crashes nobody");
	leave_table(t);
}

int main(void)
{
	fd = shm_create("test", shtable_bytes(ROWS, DATA));
	test_basics();
	test_readers();
	test_kills();
	test_steps();
	test_nonsense();
	fd_close(&fd);
	return tap_done();
}
