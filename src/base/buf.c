#include "base/buf.h"

#include "base/bits.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define CAP_MAX ((size_t)1 << 30)

enum { CAP_SMALL = 4096, CAP_MIDDLE = 16384, CAP_LARGE = 65536 };

/* At most 2 MiB rest in one thread's pools. */
static _Thread_local struct pool pools[] = {
	{ .size = sizeof(struct buf) + CAP_SMALL, .keep = 128 },
	{ .size = sizeof(struct buf) + CAP_MIDDLE, .keep = 32 },
	{ .size = sizeof(struct buf) + CAP_LARGE, .keep = 16 },
};

/* NULL: too large for a pool. */
static struct pool *pool_of(size_t cap)
{
	if (cap <= CAP_SMALL)
		return &pools[0];
	if (cap <= CAP_MIDDLE)
		return &pools[1];
	return cap <= CAP_LARGE ? &pools[2] : NULL;
}

struct buf *buf_new(size_t cap)
{
	struct pool *pool = pool_of(cap);
	struct buf *b;

	if (cap > CAP_MAX)
		return NULL;
	b = pool ? pool_try_get(pool) : try_alloc(sizeof *b + cap);
	if (b)
		*b = (struct buf){ .refs = 1, .cap = (uint32_t)(pool ? pool->size - sizeof *b : cap) };
	return b;
}

struct buf *buf_ref(struct buf *b)
{
	assert(b->refs > 0 && b->refs < UINT32_MAX);
	b->refs++;
	return b;
}

void buf_unref(struct buf *b)
{
	if (!b)
		return;
	assert(b->refs > 0);
	if (--b->refs > 0)
		return;

	struct pool *pool = pool_of(b->cap);

	if (pool)
		pool_put(pool, b);
	else
		free(b);
}

static void put(struct buf *b, struct str bytes)
{
	if (bytes.len)
		memcpy(b->data + b->len, bytes.p, bytes.len);
	b->len += (uint32_t)bytes.len;
}

/* Doubling keeps a long series of appends linear; no more than the limit can ever be used. */
static struct buf *new_for(size_t need, size_t limit)
{
	return buf_new(need <= CAP_LARGE || need > CAP_MAX ? need : LS_MIN(pow2_up(need), limit));
}

int buf_append(struct buf **b, struct str bytes, size_t limit)
{
	struct buf *old = *b;
	struct str uneaten = old ? buf_str(old) : (struct str){ 0 };

	if (uneaten.len > limit || bytes.len > limit - uneaten.len)
		return -EMSGSIZE;

	size_t need = uneaten.len + bytes.len;

	/* Whoever shares the buffer must see it unchanged. */
	if (old && old->refs == 1 && need <= old->cap) {
		if (bytes.len > buf_room(old)) {
			memmove(old->data, uneaten.p, uneaten.len);
			old->len = (uint32_t)uneaten.len;
			old->off = 0;
		}
		put(old, bytes);
		return 0;
	}

	struct buf *fresh = new_for(need, limit);

	if (!fresh)
		return -ENOMEM;
	put(fresh, uneaten);
	put(fresh, bytes);
	buf_unref(old);
	*b = fresh;
	return 0;
}

int buf_grow(struct buf **b, size_t max)
{
	struct buf *old = *b, *larger;

	if (old->cap >= max)
		return -EMSGSIZE;
	larger = buf_new(LS_MIN((size_t)old->cap * 2, max));
	if (!larger)
		return -ENOMEM;
	put(larger, buf_str(old));
	buf_unref(old);
	*b = larger;
	return 0;
}

void buf_trim(void)
{
	for (size_t i = 0; i < LS_COUNT(pools); i++)
		pool_trim(&pools[i]);
}
