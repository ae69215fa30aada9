/* The bytes that wait to leave a connection: copied, borrowed and file segments in order.  One thread.
 *
 * Small appends are packed into the last buffer, so that many answers leave in one writev().
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct chain_segment;

struct chain {
	struct chain_segment *first;
	struct chain_segment *last;
	uint64_t bytes; /* all that waits, file bytes included */
};

static inline void chain_init(struct chain *c)
{
	*c = (struct chain){ 0 };
}

static inline bool chain_empty(const struct chain *c)
{
	return c->bytes == 0;
}

/* Copies the bytes.  -ENOMEM: nothing was added. */
int chain_append(struct chain *c, struct str bytes);

/* Room for exactly `len` contiguous bytes that the caller fills at once; NULL: no memory.  len <= 64k. */
char *chain_reserve(struct chain *c, size_t len);
/* The caller filled only `len` of what chain_reserve() gave it last. */
void chain_commit(struct chain *c, size_t reserved, size_t len);

/* Adds bytes that stay where they are until `release(arg)` is called, which happens when they have left or the chain
 * is cleared. */
int chain_append_borrowed(struct chain *c, struct str bytes, void (*release)(void *arg), void *arg);

/* Adds bytes that are the caller's only until it calls chain_keep(), which it does before they change. */
int chain_append_lent(struct chain *c, struct str bytes);
/* Copies what is left of lent bytes.  -ENOMEM: the chain is as before, and the caller must clear it. */
int chain_keep(struct chain *c);

/* Adds `len` bytes of `fd` from `off`; the chain owns the descriptor from here, also on failure. */
int chain_append_file(struct chain *c, int fd, uint64_t off, uint64_t len);

/* Moves everything from `from` behind what `to` holds. */
void chain_move(struct chain *to, struct chain *from);

/* Fills at most `max` vectors with the memory bytes up to the first file segment; returns how many. */
int chain_iov(const struct chain *c, struct iovec *iov, int max);

/* If a file segment is first: true, with its descriptor, offset and rest. */
bool chain_file(const struct chain *c, int *fd, uint64_t *off, uint64_t *len);

/* How many of the bytes stand in memory: all but those of files. */
uint64_t chain_memory(const struct chain *c);

/* Drops the first `n` bytes, which have left. */
void chain_consume(struct chain *c, uint64_t n);

/* Drops and releases everything. */
void chain_clear(struct chain *c);

/* Frees this thread's pooled segments. */
void chain_trim(void);
