#include "base/mem.h"

#include "base/fault.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size) ((void)(p), (void)(size))
#endif

static void *check(void *p)
{
	static const char text[] = "luaserv: out of memory\n";

	if (p)
		return p;
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
		abort();
	abort();
}

/* malloc(0) may be NULL, which would look like a failure. */
static size_t at_least_1(size_t size)
{
	return size ? size : 1;
}

void *xalloc(size_t size)
{
	return check(malloc(at_least_1(size)));
}

void *xzalloc(size_t size)
{
	return check(calloc(1, at_least_1(size)));
}

void *xrealloc(void *p, size_t size)
{
	return check(realloc(p, at_least_1(size)));
}

char *xstrdup(const char *s)
{
	return xmemdup0(s, strlen(s));
}

char *xmemdup0(const void *p, size_t len)
{
	char *copy = xalloc(len + 1);

	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

void *try_alloc(size_t size)
{
	return FAULT(no_memory) ? NULL : malloc(at_least_1(size));
}

void *try_realloc(void *p, size_t size)
{
	return FAULT(no_memory) ? NULL : realloc(p, at_least_1(size));
}

static void *take(struct pool *pool)
{
	void *p = pool->free_list;

	assert(pool->size >= sizeof(void *));
	if (!p)
		return malloc(pool->size);
	ASAN_UNPOISON_MEMORY_REGION(p, pool->size);
	memcpy(&pool->free_list, p, sizeof(void *));
	pool->count--;
	return p;
}

void *pool_try_get(struct pool *pool)
{
	return FAULT(no_memory) ? NULL : take(pool);
}

void *pool_get(struct pool *pool)
{
	return check(take(pool));
}

void pool_put(struct pool *pool, void *p)
{
	if (!p)
		return;
	if (pool->count >= pool->keep) {
		free(p);
		return;
	}
	memcpy(p, &pool->free_list, sizeof(void *));
	pool->free_list = p;
	pool->count++;
	/* A use after free is found in pooled memory too.  The link stays readable for the leak checker. */
	ASAN_POISON_MEMORY_REGION((char *)p + sizeof(void *), pool->size - sizeof(void *));
}

void pool_trim(struct pool *pool)
{
	while (pool->free_list)
		free(pool_try_get(pool));
}
