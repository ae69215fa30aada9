/* Memory: xalloc for small fixed sizes (aborts when there is none), try_alloc for sizes a peer chose.
 *
 * A pool keeps freed objects of one size for the next user.  Pools belong to one thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void *xalloc(size_t size);
void *xzalloc(size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
/* A terminated copy of `len` bytes. */
char *xmemdup0(const void *p, size_t len);

/* NULL when there is no memory; the caller closes the peer that asked. */
void *try_alloc(size_t size);
void *try_realloc(void *p, size_t size);

struct pool {
	size_t size;     /* of one object; at least sizeof(void *) */
	unsigned keep;   /* at most so many free objects are kept */
	unsigned count;  /* free ones now */
	void *free_list; /* singly linked through the objects' first word */
};

/* Uninitialised memory of pool->size bytes; aborts when there is none. */
void *pool_get(struct pool *pool);
/* The same, but NULL when there is no memory. */
void *pool_try_get(struct pool *pool);
/* NULL is ignored. */
void pool_put(struct pool *pool, void *p);
/* Frees what is kept. */
void pool_trim(struct pool *pool);
