#include "base/chain.h"

#include "base/bits.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

enum segment_kind { SEGMENT_MEMORY, SEGMENT_BORROWED, SEGMENT_LENT, SEGMENT_FILE };

/* Invariant: the first segment is never empty, so an empty chain holds none.  Later memory segments may be
 * empty after chain_commit(). */
struct chain_segment {
	struct chain_segment *next;
	uint64_t len; /* bytes that have not left */
	enum segment_kind kind;
	unsigned size_class; /* memory */
	union {
		struct {
			char *at;  /* the first byte that has not left; the bytes are contiguous */
			char *end; /* of the block */
		} memory;
		struct {
			const char *at;
			void (*release)(void *arg);
			void *arg;
		} borrowed;
		struct {
			uint64_t off;
			int fd;
		} file;
	};
};

/* A memory segment and its header share one block of the pool.  A small answer takes 4 KiB; a chain that
 * grows goes on with larger blocks, so that one writev() reaches far. */
enum { CLASSES = 3, BLOCK_SMALL = 4096, BLOCK_MIDDLE = 16384, BLOCK_LARGE = 65536 + 64 };
enum { RESERVE_MAX = 65536 };

static_assert(BLOCK_LARGE - sizeof(struct chain_segment) >= RESERVE_MAX, "chain_reserve() promises 64k");

/* At most 3 MiB rest in one thread's pools. */
static _Thread_local struct pool blocks[CLASSES] = {
	{ .size = BLOCK_SMALL, .keep = 256 },
	{ .size = BLOCK_MIDDLE, .keep = 64 },
	{ .size = BLOCK_LARGE, .keep = 16 },
};

static _Thread_local struct pool headers = { .size = sizeof(struct chain_segment), .keep = 256 };

static inline size_t block_room(unsigned size_class)
{
	return blocks[size_class].size - sizeof(struct chain_segment);
}

/* Bytes that can be appended to the segment. */
static inline size_t tail_room(const struct chain_segment *s)
{
	return s && s->kind == SEGMENT_MEMORY ? (size_t)(s->memory.end - s->memory.at) - s->len : 0;
}

static void link_last(struct chain *c, struct chain_segment *first, struct chain_segment *last)
{
	if (c->last)
		c->last->next = first;
	else
		c->first = first;
	c->last = last;
}

/* An empty memory segment of the smallest class from `size_class` up that holds `len`, or the largest. */
static struct chain_segment *new_memory(size_t len, unsigned size_class)
{
	while (size_class < CLASSES - 1 && block_room(size_class) < len)
		size_class++;

	struct chain_segment *s = pool_try_get(&blocks[size_class]);

	if (!s)
		return NULL;
	s->next = NULL;
	s->len = 0;
	s->kind = SEGMENT_MEMORY;
	s->size_class = size_class;
	s->memory.at = (char *)(s + 1);
	s->memory.end = s->memory.at + block_room(size_class);
	return s;
}

static struct chain_segment *new_header(enum segment_kind kind, uint64_t len)
{
	struct chain_segment *s = pool_try_get(&headers);

	if (s)
		*s = (struct chain_segment){ .len = len, .kind = kind };
	return s;
}

/* `release` runs last: it may come back to the chain. */
static void free_segment(struct chain_segment *s)
{
	if (s->kind == SEGMENT_MEMORY) {
		pool_put(&blocks[s->size_class], s);
		return;
	}

	struct chain_segment copy = *s;

	pool_put(&headers, s);
	if (copy.kind == SEGMENT_FILE)
		close(copy.file.fd);
	else if (copy.kind == SEGMENT_BORROWED && copy.borrowed.release)
		copy.borrowed.release(copy.borrowed.arg);
}

static void drop_first(struct chain *c)
{
	struct chain_segment *s = c->first;

	c->first = s->next;
	if (!c->first)
		c->last = NULL;
	free_segment(s);
}

static void put(struct chain_segment *s, struct str bytes)
{
	memcpy(s->memory.at + s->len, bytes.p, bytes.len);
	s->len += bytes.len;
}

/* Segments that hold all of `bytes`, in `*out` as a chain of their own. */
static int copy_to_segments(struct str bytes, unsigned size_class, struct chain *out)
{
	chain_init(out);
	while (bytes.len) {
		struct chain_segment *s = new_memory(bytes.len, size_class);

		if (!s) {
			chain_clear(out);
			return -ENOMEM;
		}
		struct str part = str_take(bytes, tail_room(s));

		put(s, part);
		link_last(out, s, s);
		out->bytes += part.len;
		bytes = str_skip(bytes, part.len);
	}
	return 0;
}

/* Behind other segments the next is of the middle class at least. */
static inline unsigned next_class(const struct chain *c)
{
	return c->first ? 1 : 0;
}

int chain_append(struct chain *c, struct str bytes)
{
	size_t packed = LS_MIN(bytes.len, tail_room(c->last));
	struct chain more;
	int r = copy_to_segments(str_skip(bytes, packed), next_class(c), &more);

	if (r < 0)
		return r;
	if (packed) {
		put(c->last, str_take(bytes, packed));
		c->bytes += packed;
	}
	chain_move(c, &more);
	return 0;
}

char *chain_reserve(struct chain *c, size_t len)
{
	assert(len > 0 && len <= RESERVE_MAX);
	if (tail_room(c->last) < len) {
		struct chain_segment *s = new_memory(len, next_class(c));

		if (!s)
			return NULL;
		link_last(c, s, s);
	}

	char *at = c->last->memory.at + c->last->len;

	c->last->len += len;
	c->bytes += len;
	return at;
}

void chain_commit(struct chain *c, size_t reserved, size_t len)
{
	assert(len <= reserved && c->last && c->last->kind == SEGMENT_MEMORY && c->last->len >= reserved);
	c->last->len -= reserved - len;
	c->bytes -= reserved - len;
	if (c->first->len == 0)
		drop_first(c);
}

int chain_append_borrowed(struct chain *c, struct str bytes, void (*release)(void *arg), void *arg)
{
	struct chain_segment *s;

	if (bytes.len == 0) {
		if (release)
			release(arg);
		return 0;
	}
	s = new_header(SEGMENT_BORROWED, bytes.len);
	if (!s)
		return -ENOMEM;
	s->borrowed.at = bytes.p;
	s->borrowed.release = release;
	s->borrowed.arg = arg;
	link_last(c, s, s);
	c->bytes += bytes.len;
	return 0;
}

int chain_append_lent(struct chain *c, struct str bytes)
{
	struct chain_segment *s = bytes.len ? new_header(SEGMENT_LENT, bytes.len) : NULL;

	if (!s)
		return bytes.len ? -ENOMEM : 0;
	s->borrowed.at = bytes.p;
	link_last(c, s, s);
	c->bytes += bytes.len;
	return 0;
}

/* Puts copies in the place of the segment behind `*at`. */
static int keep_segment(struct chain *c, struct chain_segment **at)
{
	struct chain_segment *s = *at;
	struct chain copies;
	int r = copy_to_segments(str_make(s->borrowed.at, (size_t)s->len), 1, &copies);

	if (r < 0)
		return r;
	copies.last->next = s->next;
	*at = copies.first;
	if (c->last == s)
		c->last = copies.last;
	free_segment(s);
	return 0;
}

int chain_keep(struct chain *c)
{
	for (struct chain_segment **at = &c->first; *at; at = &(*at)->next) {
		int r = (*at)->kind == SEGMENT_LENT ? keep_segment(c, at) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int chain_append_file(struct chain *c, int fd, uint64_t off, uint64_t len)
{
	struct chain_segment *s = len ? new_header(SEGMENT_FILE, len) : NULL;

	if (!s) {
		close(fd);
		return len ? -ENOMEM : 0;
	}
	s->file.fd = fd;
	s->file.off = off;
	link_last(c, s, s);
	c->bytes += len;
	return 0;
}

void chain_move(struct chain *to, struct chain *from)
{
	if (!from->first)
		return;
	link_last(to, from->first, from->last);
	to->bytes += from->bytes;
	chain_init(from);
}

int chain_iov(const struct chain *c, struct iovec *iov, int max)
{
	int n = 0;

	for (const struct chain_segment *s = c->first; s && n < max && s->kind != SEGMENT_FILE; s = s->next) {
		if (s->len == 0)
			continue;

		const char *at = s->kind == SEGMENT_MEMORY ? s->memory.at : s->borrowed.at;

		iov[n++] = (struct iovec){ .iov_base = (char *)(uintptr_t)at, .iov_len = (size_t)s->len };
	}
	return n;
}

bool chain_file(const struct chain *c, int *fd, uint64_t *off, uint64_t *len)
{
	const struct chain_segment *s = c->first;

	if (!s || s->kind != SEGMENT_FILE)
		return false;
	*fd = s->file.fd;
	*off = s->file.off;
	*len = s->len;
	return true;
}

uint64_t chain_memory(const struct chain *c)
{
	uint64_t bytes = 0;

	for (const struct chain_segment *s = c->first; s; s = s->next)
		bytes += s->kind == SEGMENT_FILE ? 0 : s->len;
	return bytes;
}

static void advance(struct chain_segment *s, uint64_t n)
{
	s->len -= n;
	if (s->kind == SEGMENT_MEMORY)
		s->memory.at += n;
	else if (s->kind == SEGMENT_BORROWED || s->kind == SEGMENT_LENT)
		s->borrowed.at += n;
	else
		s->file.off += n;
}

void chain_consume(struct chain *c, uint64_t n)
{
	assert(n <= c->bytes);
	while (c->first && (n || c->first->len == 0)) {
		uint64_t part = LS_MIN(n, c->first->len);

		advance(c->first, part);
		c->bytes -= part;
		n -= part;
		if (c->first->len == 0)
			drop_first(c);
	}
}

void chain_clear(struct chain *c)
{
	while (c->first)
		drop_first(c);
	c->bytes = 0;
}

void chain_trim(void)
{
	for (size_t i = 0; i < CLASSES; i++)
		pool_trim(&blocks[i]);
	pool_trim(&headers);
}
