/* t/unit/test_shdict.c — a dict keeps what fits, forgets what is old, and a death at any instruction leaves it usable. */
#include "ipc/shdict.c"

#include "shared_steps.h"
#include "tap.h"

#include <stdio.h>

enum { BYTES = SHDICT_BYTES_MIN, KEYS = 8, KILLS = 500, LARGE = 300 };

static int fd;

static struct shdict *join_dict(int from, uint64_t bytes)
{
	struct shdict *d = calloc(1, sizeof *d);

	if (!d || segment_open(&d->segment, from, bytes) < 0 || shdict_init(d, bytes) < 0)
		_exit(1);
	return d;
}

static void leave_dict(struct shdict *d)
{
	shdict_fini(d);
	segment_close(&d->segment);
	free(d);
}

static void *open_small(int from, void *ctx)
{
	(void)ctx;
	return join_dict(from, BYTES);
}

static struct str key_of(unsigned i)
{
	static char text[32];

	return str_make(text, (size_t)snprintf(text, sizeof text, "key %u", i));
}

/* `len` bytes, all of them `c`. */
static struct shdict_value bytes_of(char c, size_t len)
{
	static char room[1 << 20];

	memset(room, c, len);
	return (struct shdict_value){ .kind = SHDICT_STRING, .bytes = { room, len } };
}

static int put(struct shdict *d, unsigned key, char c, size_t len)
{
	struct shdict_value v = bytes_of(c, len);
	unsigned evicted;

	return shdict_put(d, key_of(key), &v, SHDICT_SET, false, 0, &evicted);
}

/* What byte it is made of; 0: no such key; -1: of several. */
static int look(struct shdict *d, unsigned key)
{
	struct shdict_value v;

	if (shdict_get(d, key_of(key), false, &v) < 0)
		return 0;
	for (size_t i = 1; i < v.bytes.len; i++)
		if (v.bytes.p[i] != v.bytes.p[0])
			return -1;
	return v.bytes.len ? v.bytes.p[0] : 0;
}

static void count_key(void *ctx, struct str key)
{
	(void)key;
	++*(unsigned *)ctx;
}

static unsigned keys_in(struct shdict *d)
{
	unsigned n = 0;

	shdict_keys(d, 0, count_key, &n);
	return n;
}

/* No block is lost or in two places: emptied, all of it is free, and one value may take all of it. */
static bool is_sound(struct shdict *d)
{
	struct shdict_stats before, after;
	struct shdict_value v;
	unsigned evicted;

	for (unsigned i = 0; i < KEYS; i++)
		if (put(d, i, 's', LARGE) < 0)
			return false;
	for (unsigned i = 0; i < KEYS; i++)
		if (look(d, i) != 's')
			return false;
	shdict_stats(d, &before);
	if (before.count != keys_in(d))
		return false;
	shdict_flush_all(d);
	shdict_flush_expired(d, 0);
	shdict_stats(d, &after);
	if (after.count != 0 || after.free != after.capacity)
		return false;
	v = bytes_of('w', after.capacity / BLOCK * REST_INLINE - 100);
	if (shdict_put(d, key_of(1), &v, SHDICT_SET, true, 0, &evicted) < 0 || look(d, 1) != 'w')
		return false;
	return shdict_delete(d, key_of(1)) == 0;
}

static void test_values(struct shdict *d)
{
	struct shdict_value v = { .kind = SHDICT_NUMBER, .number = 1.5, .flags = 7 }, got;
	static const size_t sizes[] = { 0, 1, 5, 6, 7, 11, 12, 13, 66, 67, 68, 500, 5000 };
	unsigned evicted;
	int wrong = 0;
	double ten = 10, sum;
	char key[200];

	ok(shdict_get(d, LS_STR("a"), false, &got) == -ENOENT, "empty");
	ok(shdict_put(d, LS_STR("a"), &v, SHDICT_SET, false, 0, &evicted) == 0 &&
	           shdict_get(d, LS_STR("a"), false, &got) == 0 && got.kind == SHDICT_NUMBER && got.number == 1.5 &&
	           got.flags == 7,
	   "number with flags");
	ok(shdict_put(d, LS_STR("a"), &v, SHDICT_ADD, false, 0, &evicted) == -EEXIST &&
	           shdict_put(d, LS_STR("b"), &v, SHDICT_REPLACE, false, 0, &evicted) == -ENOENT,
	   "add and replace");
	ok(shdict_incr(d, LS_STR("a"), 2, NULL, 0, &sum, &evicted) == 0 && sum == 3.5, "incr");
	ok(shdict_incr(d, LS_STR("n"), 2, NULL, 0, &sum, &evicted) == -ENOENT &&
	           shdict_incr(d, LS_STR("n"), 2, &ten, 0, &sum, &evicted) == 0 && sum == 12,
	   "incr with init");
	put(d, 1, 's', 3);
	ok(shdict_incr(d, key_of(1), 1, NULL, 0, &sum, &evicted) == -EPROTOTYPE, "a string is not counted up");
	ok(shdict_delete(d, LS_STR("a")) == 0 && shdict_delete(d, LS_STR("a")) == -ENOENT, "delete");
	for (size_t k = 1; k < sizeof key; k += 9)
		for (size_t i = 0; i < LS_COUNT(sizes); i++) {
			memset(key, 'k', k);
			v = bytes_of('v', sizes[i]);
			wrong += shdict_put(d, str_make(key, k), &v, SHDICT_SET, false, 0, &evicted) != 0 ||
			         shdict_get(d, str_make(key, k), false, &got) != 0 || !str_eq(got.bytes, v.bytes);
		}
	ok(wrong == 0, "keys and values of all lengths");
	v = bytes_of('x', BYTES);
	ok(shdict_put(d, LS_STR("a"), &v, SHDICT_SET, false, 0, &evicted) == -E2BIG, "too large for all of it");
	ok(shdict_get(d, LS_STR(""), false, &got) == -EINVAL, "no empty key");
}

static void test_expiry(struct shdict *d)
{
	struct shdict_value v = bytes_of('e', 3), got;
	unsigned evicted;
	uint64_t ms = 1;

	shdict_put(d, LS_STR("t"), &v, SHDICT_SET, false, 1, &evicted);
	let_run(0);
	for (uint64_t until = clock_ms() + 2; clock_ms() < until;)
		;
	ok(shdict_get(d, LS_STR("t"), false, &got) == -ENOENT, "expired");
	ok(shdict_get(d, LS_STR("t"), true, &got) == 0 && got.stale && got.bytes.len == 3, "stale, but there");
	ok(shdict_put(d, LS_STR("t"), &v, SHDICT_ADD, false, 0, &evicted) == 0 &&
	           shdict_ttl(d, LS_STR("t"), &ms) == 0 && ms == 0,
	   "may be added again, for ever");
	ok(shdict_expire(d, LS_STR("t"), 60000) == 0 && shdict_ttl(d, LS_STR("t"), &ms) == 0 && ms > 50000 &&
	           ms <= 60000,
	   "expires in a minute");
	shdict_flush_all(d);
	ok(shdict_get(d, LS_STR("t"), false, &got) == -ENOENT && shdict_get(d, LS_STR("t"), true, &got) == 0,
	   "flushed, but there");
	ok(shdict_flush_expired(d, 1) == 1 && shdict_flush_expired(d, 0) > 0 && keys_in(d) == 0, "freed");
}

static void test_eviction(struct shdict *d)
{
	struct shdict_value v = bytes_of('o', 100);
	struct shdict_stats before, stats;
	unsigned evicted = 0, n = 0;

	shdict_stats(d, &before);

	while (shdict_put(d, key_of(n), &v, SHDICT_SET, true, 0, &evicted) == 0)
		n++;
	ok(n > 100 && evicted == 0 && look(d, 0) == 'o' && look(d, n - 1) == 'o', "%u fit without eviction", n);
	ok(shdict_put(d, key_of(n), &v, SHDICT_SET, false, 0, &evicted) == 0 && evicted == 1, "one more evicts one");
	ok(look(d, 1) == 0 && look(d, 0) == 'o' && look(d, n) == 'o', "the one that was used least recently");
	v = bytes_of('O', 5000);
	ok(shdict_put(d, key_of(n + 1), &v, SHDICT_SET, false, 0, &evicted) == 0 && evicted > 10,
	   "a large one evicts many");
	shdict_stats(d, &stats);
	ok(stats.evicted == before.evicted + 1 + evicted && stats.count == keys_in(d), "counted");
	ok(is_sound(d), "sound");
}

static void test_lists(struct shdict *d)
{
	struct shdict_value one = { .kind = SHDICT_NUMBER, .number = 1 }, text = bytes_of('l', 200), got;
	struct shdict_stats before, after;
	uint32_t len = 0;

	shdict_stats(d, &before);
	ok(shdict_push(d, LS_STR("q"), &one, false, &len) == 0 &&
	           shdict_push(d, LS_STR("q"), &text, false, &len) == 0 &&
	           shdict_push(d, LS_STR("q"), &text, true, &len) == 0 && len == 3,
	   "three pushed");
	ok(shdict_get(d, LS_STR("q"), false, &got) == -EPROTOTYPE, "a list is no value");
	ok(shdict_pop(d, LS_STR("q"), true, &got) == 0 && got.bytes.len == 200 &&
	           shdict_pop(d, LS_STR("q"), true, &got) == 0 && got.number == 1 &&
	           shdict_pop(d, LS_STR("q"), false, &got) == 0 && got.bytes.len == 200,
	   "popped in order");
	ok(shdict_pop(d, LS_STR("q"), true, &got) == -ENOENT && shdict_length(d, LS_STR("q"), &len) == 0 && len == 0,
	   "gone when empty");
	shdict_stats(d, &after);
	ok(before.free == after.free && before.count == after.count, "nothing is left of it");
}

/* ---- deaths ----------------------------------------------------------------------------------------------------------- */

static void write_forever(void *ctx)
{
	struct shdict *d = join_dict(fd, BYTES);
	struct shdict_value v;
	double zero = 0, sum;
	unsigned evicted;
	uint32_t len;

	(void)ctx;
	srand((unsigned)getpid());
	for (;;) {
		unsigned key = (unsigned)rand() % KEYS;

		switch (rand() % 8) {
		case 0:
			shdict_delete(d, key_of(key));
			break;
		case 1:
			shdict_incr(d, LS_STR("number"), 1, &zero, 0, &sum, &evicted);
			break;
		case 2:
			v = bytes_of('l', 100);
			shdict_push(d, LS_STR("list"), &v, rand() & 1, &len);
			break;
		case 3:
			shdict_pop(d, LS_STR("list"), rand() & 1, &v);
			break;
		case 4:
			look(d, key);
			break;
		default:
			put(d, key + KEYS * (rand() % 40), (char)('a' + rand() % 26), (size_t)rand() % 1000);
		}
	}
}

static void test_kills(struct shdict *d)
{
	struct shdict_stats stats;
	unsigned bad = 0, torn = 0;

	for (int i = 0; i < KILLS; i++) {
		pid_t one = start_child(write_forever, NULL), two = start_child(write_forever, NULL);

		let_run(3000);
		for (unsigned k = 0; k < KEYS; k++)
			torn += look(d, k) == -1;
		kill_child(one);
		kill_child(two);
		for (unsigned k = 0; k < KEYS; k++)
			torn += look(d, k) == -1;
		bad += !is_sound(d);
	}
	shdict_stats(d, &stats);
	ok(bad == 0 && torn == 0, "%d times two writers killed, %u repairs, sound each time", KILLS,
	   (unsigned)stats.repairs);
}

enum act {
	ACT_REPLACE,
	ACT_NEW,
	ACT_DELETE,
	ACT_INCR,
	ACT_PUSH,
	ACT_UNSHIFT,
	ACT_POP,
	ACT_SHIFT,
	ACT_GET,
	ACT_EVICT,
	ACTS
};

static const char *const act_names[ACTS] = { "replace", "new",  "delete", "incr", "rpush",
	                                     "lpush",   "rpop", "lpop",   "get",  "evict" };

static void operate(void *object, void *ctx)
{
	struct shdict_value v = bytes_of('i', 100);
	double sum;
	unsigned evicted;
	uint32_t len;

	switch (*(enum act *)ctx) {
	case ACT_REPLACE:
		put(object, 1, 'n', LARGE);
		break;
	case ACT_NEW:
		put(object, 3, 'n', LARGE);
		break;
	case ACT_DELETE:
		shdict_delete(object, key_of(1));
		break;
	case ACT_INCR:
		shdict_incr(object, LS_STR("number"), 1, NULL, 0, &sum, &evicted);
		break;
	case ACT_PUSH:
	case ACT_UNSHIFT:
		shdict_push(object, LS_STR("list"), &v, *(enum act *)ctx == ACT_UNSHIFT, &len);
		break;
	case ACT_POP:
	case ACT_SHIFT:
		shdict_pop(object, LS_STR("list"), *(enum act *)ctx == ACT_SHIFT, &v);
		break;
	case ACT_GET:
		look(object, 0);
		break;
	case ACT_EVICT:
		put(object, 3, 'n', 3000);
		break;
	case ACTS:
		break;
	}
}

static bool holds(int copy, void *ctx)
{
	enum act act = *(enum act *)ctx;
	struct shdict *d = join_dict(copy, BYTES);
	struct shdict_value number = { 0 }, item;
	int first = look(d, 1), second = look(d, 2), third = look(d, 3), items = 0;
	bool good = first == 'o' || (act == ACT_REPLACE && first == 'n') ||
	            ((act == ACT_DELETE || act == ACT_EVICT) && first == 0);

	good = good && (second == 'o' || (act == ACT_EVICT && second == 0));
	good = good && (third == 0 || ((act == ACT_NEW || act == ACT_EVICT) && third == 'n'));
	good = good && shdict_get(d, LS_STR("number"), false, &number) == 0 &&
	       (number.number == 5 || (act == ACT_INCR && number.number == 6));
	while (shdict_pop(d, LS_STR("list"), true, &item) == 0)
		items++;
	if (act == ACT_PUSH || act == ACT_UNSHIFT)
		good = good && (items == 3 || items == 4);
	else if (act == ACT_POP || act == ACT_SHIFT)
		good = good && (items == 3 || items == 2);
	else
		good = good && items == 3;
	good = good && is_sound(d);
	leave_dict(d);
	return good;
}

static void prepare(struct shdict *d, enum act act)
{
	struct shdict_value v = bytes_of('i', 100);
	double four = 4, sum;
	unsigned evicted;
	uint32_t len;

	put(d, 1, 'o', LARGE);
	put(d, 2, 'o', LARGE);
	for (unsigned i = 100; act == ACT_EVICT; i++) {
		struct shdict_value filler = bytes_of('f', 500);

		if (shdict_put(d, key_of(i), &filler, SHDICT_SET, true, 0, &evicted) < 0)
			break;
	}
	if (act == ACT_EVICT)
		shdict_delete(d, key_of(100));
	shdict_incr(d, LS_STR("number"), 1, &four, 0, &sum, &evicted);
	put(d, 0, 'o', 5);
	for (int i = 0; i < 3; i++)
		shdict_push(d, LS_STR("list"), &v, false, &len);
	put(d, 5, 'o', 5);
	shdict_delete(d, key_of(5));
}

static void test_steps(void)
{
	for (enum act act = 0; act < ACTS; act++) {
		struct steps s = {
			.fd = shm_create("test", BYTES),
			.bytes = BYTES,
			.open = open_small,
			.operate = operate,
			.holds = holds,
			.ctx = &act,
		};
		struct shdict *d = join_dict(s.fd, BYTES);

		prepare(d, act);
		leave_dict(d);
		if (!steps_run(&s))
			ok(true, "# SKIP processes cannot be traced here");
		else
			ok(s.broken == 0 && s.states > 1, "%s: %u instructions, %u states, %u of them broken",
			   act_names[act], s.instructions, s.states, s.broken);
		fd_close(&s.fd);
	}
}

static void test_nonsense(void)
{
	struct shdict *d = join_dict(fd, BYTES);
	char *bytes = d->segment.map.p;
	struct shdict_value v;
	uint32_t len;

	srand(7);
	for (int i = 0; i < 2000; i++) {
		for (int k = 0; k < 20; k++)
			bytes[SEGMENT_HEAD + (size_t)rand() % (BYTES - SEGMENT_HEAD)] = (char)rand();
		for (int k = 0; k < 20; k++)
			put(d, (unsigned)rand() % 200, 'x', (size_t)rand() % 500);
		look(d, (unsigned)rand() % KEYS);
		v = bytes_of('l', 100);
		shdict_push(d, LS_STR("list"), &v, i & 1, &len);
		shdict_pop(d, LS_STR("list"), i & 2, &v);
		shdict_delete(d, key_of((unsigned)rand() % KEYS));
		keys_in(d);
	}
	ok(true, "nonsense in the memory crashes nobody");
	d->shards[0].broken = 1;
	shdict_flush_all(d);
	shdict_flush_expired(d, 0);
	ok(is_sound(d), "and a repair makes it whole");
	leave_dict(d);
}

static void test_shards(void)
{
	enum { LARGE_BYTES = 64 << 20, MANY = 100000 };
	int large = shm_create("test", LARGE_BYTES);
	struct shdict *d = join_dict(large, LARGE_BYTES);
	struct shdict_stats stats;
	unsigned found = 0;

	for (unsigned i = 0; i < MANY; i++)
		put(d, i, 'm', 10);
	for (unsigned i = 0; i < MANY; i++)
		found += look(d, i) == 'm';
	shdict_stats(d, &stats);
	ok(d->n_shards == 16 && found == MANY && stats.count == MANY && keys_in(d) == MANY, "16 shards hold %d keys",
	   MANY);
	leave_dict(d);
	fd_close(&large);
}

int main(void)
{
	struct shdict *d;

	fd = shm_create("test", BYTES);
	d = join_dict(fd, BYTES);
	test_values(d);
	test_expiry(d);
	test_lists(d);
	test_eviction(d);
	test_kills(d);
	leave_dict(d);
	test_steps();
	test_nonsense();
	test_shards();
	fd_close(&fd);
	return tap_done();
}
