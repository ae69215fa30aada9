/* t/unit/test_chain.c — bytes leave in the order they came; blocks are pooled, files closed, loans given back. */
#include "base/chain.c"

#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static int released;

static void release(void *arg)
{
	released += *(int *)arg;
}

static int open_zero(void)
{
	return open("/dev/zero", O_RDONLY | O_CLOEXEC);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static unsigned free_blocks(void)
{
	return blocks[0].count + blocks[1].count + blocks[2].count;
}

static void small_appends_are_packed(void)
{
	struct chain c;
	struct iovec iov[4];

	chain_init(&c);
	for (int i = 0; i < 20; i++)
		chain_append(&c, LS_STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
	ok(chain_iov(&c, iov, 4) == 1 && iov[0].iov_len == c.bytes, "20 answers are one vector");
	ok(c.first == c.last && c.first->size_class == 0, "in one small block");
	chain_consume(&c, c.bytes);
	ok(chain_empty(&c) && !c.first && !c.last && blocks[0].count == 1, "which goes back when they have left");
	ok(chain_append(&c, (struct str){ 0 }) == 0 && !c.first, "nothing takes no block");
}

static void steady_state_allocates_nothing(void)
{
	static char body[50000];
	struct chain c;
	unsigned before = 0;

	chain_init(&c);
	for (int i = 0; i < 100; i++) {
		chain_append(&c, LS_STR("head"));
		chain_append(&c, str_make(body, sizeof body));
		chain_append_borrowed(&c, LS_STR("x"), NULL, NULL);
		chain_consume(&c, c.bytes);
		if (i == 0)
			before = free_blocks() + headers.count;
	}
	ok(free_blocks() + headers.count == before, "blocks and headers come from the pools and return");
}

static void loans_are_given_back(void)
{
	static int one = 1;
	struct chain c;

	chain_init(&c);
	chain_append_borrowed(&c, LS_STR("abc"), release, &one);
	chain_append_borrowed(&c, LS_STR("def"), release, &one);
	chain_consume(&c, 2);
	ok(released == 0, "not while a byte waits");
	chain_consume(&c, 2);
	ok(released == 1 && c.bytes == 2, "each when its last byte has left");
	chain_append_borrowed(&c, LS_STR(""), release, &one);
	ok(released == 2, "at once if there is none");
	chain_clear(&c);
	ok(released == 3 && chain_empty(&c) && !c.first, "the rest when the chain is cleared");
}

static void files_stand_in_order(void)
{
	struct chain c;
	struct iovec iov[8];
	int fd = open_zero(), other = open_zero(), got;
	uint64_t off, len;

	chain_init(&c);
	chain_append(&c, LS_STR("head"));
	chain_append_file(&c, fd, 100, 50);
	chain_append(&c, LS_STR("tail"));
	ok(c.bytes == 58 && chain_iov(&c, iov, 8) == 1 && iov[0].iov_len == 4, "vectors end before a file");
	ok(!chain_file(&c, &got, &off, &len), "the file is not first yet");
	chain_consume(&c, 14);
	ok(chain_file(&c, &got, &off, &len) && got == fd && off == 110 && len == 40, "then its rest is told");
	ok(chain_iov(&c, iov, 8) == 0, "and there are no vectors");
	chain_consume(&c, 40);
	ok(!is_open(fd) && chain_iov(&c, iov, 8) == 1, "it is closed when it has left");
	chain_append_file(&c, other, 0, 0);
	ok(!is_open(other) && c.bytes == 4, "an empty one at once");
	chain_append_file(&c, other = open_zero(), 0, 1);
	chain_clear(&c);
	ok(!is_open(other), "and by clearing");
}

static void reserve_and_commit(void)
{
	struct chain c;
	struct iovec iov[4];
	char *p;

	chain_init(&c);
	p = chain_reserve(&c, RESERVE_MAX);
	memset(p, 'x', RESERVE_MAX);
	ok(c.bytes == RESERVE_MAX && chain_iov(&c, iov, 4) == 1, "64k are contiguous");
	chain_commit(&c, RESERVE_MAX, 0);
	ok(chain_empty(&c) && !c.first, "nothing filled, nothing held");
	chain_append(&c, LS_STR("a"));
	memcpy(chain_reserve(&c, 100), "bc", 2);
	chain_commit(&c, 100, 2);
	ok(c.bytes == 3 && chain_iov(&c, iov, 4) == 1 && memcmp(iov[0].iov_base, "abc", 3) == 0, "packed with others");
	chain_append_file(&c, open_zero(), 0, 5);
	chain_reserve(&c, 10);
	chain_commit(&c, 10, 0);
	chain_append_file(&c, open_zero(), 0, 6);
	chain_consume(&c, 8);
	ok(c.bytes == 6 && c.first->kind == SEGMENT_FILE, "an empty segment in the middle goes unnoticed");
	chain_clear(&c);
}

static void moves(void)
{
	struct chain a, b;

	chain_init(&a);
	chain_init(&b);
	chain_move(&a, &b);
	ok(chain_empty(&a), "nothing moves to nothing");
	chain_append(&b, LS_STR("12"));
	chain_move(&a, &b);
	chain_append(&b, LS_STR("34"));
	chain_move(&a, &b);
	ok(a.bytes == 4 && chain_empty(&b) && !b.first, "all of it moves");
	chain_append(&a, LS_STR("5"));
	chain_consume(&a, 3);
	ok(memcmp(a.first->memory.at, "45", 2) == 0 && a.bytes == 2, "in order");
	chain_clear(&a);
}

/* What waits in the vectors is what the model holds next. */
static bool same_as(const struct chain *c, const char *model, size_t len)
{
	struct iovec iov[16];
	int n = chain_iov(c, iov, 16);
	size_t at = 0;

	for (int i = 0; i < n; i++) {
		if (at + iov[i].iov_len > len || memcmp(iov[i].iov_base, model + at, iov[i].iov_len) != 0)
			return false;
		at += iov[i].iov_len;
	}
	return c->bytes == len && (at > 0 || len == 0);
}

static void add_some(struct chain *c, const char *p, size_t len)
{
	static int none;

	if (rand() % 3 == 0) {
		chain_append_borrowed(c, str_make(p, len), release, &none);
	} else if (len && rand() % 2) {
		size_t more = LS_MIN(len + 50, (size_t)RESERVE_MAX);

		len = LS_MIN(len, more);
		memcpy(chain_reserve(c, more), p, len);
		chain_commit(c, more, len);
	} else {
		chain_append(c, str_make(p, len));
	}
}

static void random_use(void)
{
	enum { TOTAL = 4 << 20 };
	char *model = malloc(TOTAL);
	size_t from = 0, to = 0;
	struct chain c;
	bool sound = true;

	chain_init(&c);
	srand(11);
	for (size_t i = 0; i < TOTAL; i++)
		model[i] = (char)rand();
	while (to + 60000 < TOTAL && sound) {
		size_t n = (size_t)(rand() % (rand() % 20 == 0 ? 60000 : 800));

		add_some(&c, model + to, n);
		to += n;
		sound = same_as(&c, model + from, to - from);
		n = (size_t)rand() % (to - from + 1);
		n = rand() % 50 == 0 ? to - from : n / 2;
		chain_consume(&c, n);
		from += n;
		sound = sound && same_as(&c, model + from, to - from) && (from < to || !c.first);
	}
	ok(sound, "4 MB through random appends, reserves, loans and writes");
	chain_clear(&c);
	free(model);
}

int main(void)
{
	small_appends_are_packed();
	steady_state_allocates_nothing();
	loans_are_given_back();
	files_stand_in_order();
	reserve_and_commit();
	moves();
	random_use();
	chain_trim();
	ok(free_blocks() + headers.count == 0, "trimming empties the pools");
	return tap_done();
}
