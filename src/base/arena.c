#include "base/arena.h"

#include "base/bits.h"
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, CHUNK_SIZE = 4096, CHUNKS_KEPT = 256 };

struct arena_chunk {
	struct arena_chunk *next; /* older */
	size_t cap;               /* bytes in data */
	size_t used;
	_Alignas(ALIGN) char data[];
};

struct arena_cleanup {
	struct arena_cleanup *next;
	void (*fn)(void *arg);
	void *arg;
};

enum { CHUNK_CAP = CHUNK_SIZE - sizeof(struct arena_chunk) };

static _Thread_local struct pool chunks = { .size = CHUNK_SIZE, .keep = CHUNKS_KEPT };

static struct arena_chunk *push_chunk(struct arena *a)
{
	struct arena_chunk *c = pool_get(&chunks);

	*c = (struct arena_chunk){ .next = a->chunk, .cap = CHUNK_CAP };
	a->chunk = c;
	return c;
}

/* A chunk of its own, put behind the newest, whose room stays in use. */
static void *alloc_large(struct arena *a, size_t size)
{
	struct arena_chunk *c = xalloc(sizeof *c + size);
	struct arena_chunk **link = a->chunk ? &a->chunk->next : &a->chunk;

	*c = (struct arena_chunk){ .next = *link, .cap = size, .used = size };
	*link = c;
	return c->data;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunk;

	if (size > SIZE_MAX / 2)
		return xalloc(size); /* aborts */
	size = align_up(size ? size : 1, ALIGN);
	a->bytes += size;
	if (!c || c->cap - c->used < size) {
		if (size > CHUNK_CAP / 2)
			return alloc_large(a, size);
		c = push_chunk(a);
	}

	void *p = c->data + c->used;

	c->used += size;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

char *arena_dup(struct arena *a, const void *p, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

void arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
	struct arena_cleanup *c = arena_alloc(a, sizeof *c);

	*c = (struct arena_cleanup){ .next = a->cleanups, .fn = fn, .arg = arg };
	a->cleanups = c;
}

static void free_chunk(struct arena_chunk *c)
{
	if (c->cap == CHUNK_CAP)
		pool_put(&chunks, c);
	else
		free(c);
}

void arena_clear(struct arena *a)
{
	/* A deferred call may allocate and defer in turn. */
	while (a->cleanups) {
		struct arena_cleanup *c = a->cleanups;

		a->cleanups = c->next;
		c->fn(c->arg);
	}
	while (a->chunk) {
		struct arena_chunk *c = a->chunk;

		a->chunk = c->next;
		free_chunk(c);
	}
	a->bytes = 0;
}

void arena_trim(void)
{
	pool_trim(&chunks);
}
