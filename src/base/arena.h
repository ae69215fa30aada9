/* A bump allocator: many small allocations, freed together.  One thread.
 *
 * Chunks come from a per-thread pool.  An arena that holds nothing owns no chunk: an idle connection costs the
 * struct only.
 */
#pragma once

#include <stddef.h>

struct arena_chunk;
struct arena_cleanup;

struct arena {
	struct arena_chunk *chunk;      /* newest; NULL: nothing allocated */
	struct arena_cleanup *cleanups; /* newest first */
	size_t bytes;                   /* handed out so far */
};

static inline void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

/* Aligned to 16.  Never NULL; aborts when there is no memory. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* A terminated copy. */
char *arena_dup(struct arena *a, const void *p, size_t len);
/* Runs fn(arg) when the arena is cleared; the last one first. */
void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);
/* Runs the deferred calls and frees everything; the arena can be used again. */
void arena_clear(struct arena *a);
/* Frees the pooled chunks of this thread. */
void arena_trim(void);
