/* A reference-counted byte buffer of fixed capacity: 4k, 16k, 64k from per-thread pools, larger from malloc.
 *
 * The count is a plain integer: a buf belongs to one thread, and passing it on gives it away.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

struct buf {
	uint32_t refs;
	uint32_t cap; /* bytes in data */
	uint32_t len; /* bytes used */
	uint32_t off; /* bytes already eaten from the front; off <= len */
	char data[];
};

/* A buffer with room for at least `cap` bytes (at most 1 GiB), one reference.  NULL: no memory. */
struct buf *buf_new(size_t cap);
struct buf *buf_ref(struct buf *b);
/* NULL is ignored. */
void buf_unref(struct buf *b);

/* What has not been eaten. */
static inline struct str buf_str(const struct buf *b)
{
	return (struct str){ b->data + b->off, b->len - b->off };
}

static inline size_t buf_room(const struct buf *b)
{
	return b->cap - b->len;
}

/* Appends to `*b` (NULL: made), which moves to a larger one when it is full.  -ENOMEM, or -EMSGSIZE when the
 * uneaten bytes would pass `limit`; `*b` is then as before. */
int buf_append(struct buf **b, struct str bytes, size_t limit);

/* Moves to a buffer of twice the room, or of `max` if that is less.  -EMSGSIZE: it has `max` already; -ENOMEM; `*b` is then as before. */
int buf_grow(struct buf **b, size_t max);

/* Frees the pooled buffers of this thread. */
void buf_trim(void);
