/* t/unit/test_buf.c — buffers come in classes, grow up to a limit, and are unchanged when that fails. */
#include "base/buf.c"

#include "tap.h"

static void classes(void)
{
	static const size_t caps[][2] = { { 0, 4096 },      { 4096, 4096 },   { 4097, 16384 },
		                          { 16385, 65536 }, { 65536, 65536 }, { 65537, 65537 } };

	for (size_t i = 0; i < LS_COUNT(caps); i++) {
		struct buf *b = buf_new(caps[i][0]);

		ok(b && b->cap == caps[i][1] && b->refs == 1 && !b->len && !b->off, "room for %zu", caps[i][0]);
		memset(b->data, 1, b->cap);
		buf_unref(b);
	}
	ok(!buf_new(CAP_MAX + 1), "more than 1 GiB is refused");
	buf_unref(NULL);
}

static void pool_is_used(void)
{
	struct buf *b = buf_new(1), *again;

	buf_unref(b);
	again = buf_new(4096);
	ok(again == b, "the last one freed is used again");
	buf_unref(buf_ref(again));
	ok(again->refs == 1, "references are counted");
	buf_unref(again);
}

/* Random appends and bites against a plain array. */
static void keeps_the_bytes(void)
{
	static char model[300000], chunk[5000];
	struct buf *b = NULL;
	size_t from = 0, to = 0;
	bool same = true;

	srand(5);
	for (int i = 0; i < 300 && to < sizeof model - sizeof chunk; i++) {
		size_t n = (size_t)rand() % sizeof chunk;

		for (size_t k = 0; k < n; k++)
			chunk[k] = model[to + k] = (char)rand();
		same = same && buf_append(&b, str_make(chunk, n), sizeof model) == 0;
		to += n;
		n = (size_t)rand() % ((to - from) / (i % 10 == 0 ? 1 : 3) + 1);
		from += n;
		b->off += (uint32_t)n;
		same = same && str_eq(buf_str(b), str_make(model + from, to - from));
	}
	ok(same, "%zu bytes went through in order", to);
	buf_unref(b);
}

static void respects_the_limit(void)
{
	struct buf *b = NULL, *before;

	ok(buf_append(&b, LS_STR("123456"), 5) == -EMSGSIZE && !b, "over the limit at once");
	ok(buf_append(&b, LS_STR("12345"), 5) == 0, "up to the limit");
	before = b;
	ok(buf_append(&b, LS_STR("6"), 5) == -EMSGSIZE && b == before && b->len == 5, "not a byte more");
	b->off = 3;
	ok(buf_append(&b, LS_STR("678"), 5) == 0 && str_eq(buf_str(b), LS_STR("45678")), "eaten bytes do not count");
	buf_unref(b);
}

static void makes_room_in_place(void)
{
	static char text[4096];
	struct buf *b = NULL, *before;

	buf_append(&b, str_make(text, sizeof text), SIZE_MAX);
	before = b;
	b->off = 4000;
	ok(buf_append(&b, str_make(text, 4000), SIZE_MAX) == 0 && b == before && b->off == 0 && b->len == 4096,
	   "eaten bytes give their room");
	buf_unref(b);
}

static void leaves_sharers_alone(void)
{
	struct buf *b = NULL, *shared;

	buf_append(&b, LS_STR("abc"), 100);
	shared = buf_ref(b);
	buf_append(&b, LS_STR("d"), 100);
	ok(b != shared && str_eq(buf_str(shared), LS_STR("abc")) && str_eq(buf_str(b), LS_STR("abcd")),
	   "a shared buffer stays as it was");
	buf_unref(shared);
	buf_unref(b);
}

static void grows_by_doubling(void)
{
	static char text[1000];
	struct buf *b = NULL;
	int moves = 0;

	for (int i = 0; i < 4000; i++) {
		struct buf *before = b;

		buf_append(&b, str_make(text, sizeof text), 1 << 22);
		moves += b != before;
	}
	ok(b->len == 4000000 && b->cap <= 1 << 22 && moves < 12, "4 MB in %d moves", moves);
	buf_unref(b);
}

int main(void)
{
	classes();
	pool_is_used();
	keeps_the_bytes();
	respects_the_limit();
	makes_room_in_place();
	leaves_sharers_alone();
	grows_by_doubling();
	buf_trim();
	ok(pools[0].count + pools[1].count + pools[2].count == 0, "trimming empties the pools");
	return tap_done();
}
