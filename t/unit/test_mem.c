/* t/unit/test_mem.c — copies are whole; pools give back what they kept, and keep no more than told. */
#include "base/mem.c"

#include "tap.h"

static void copies(void)
{
	char *s = xstrdup("abc"), *m = xmemdup0("a\0b", 3), *z = xzalloc(16), *e = xmemdup0(NULL, 0);

	ok(strcmp(s, "abc") == 0 && memcmp(m, "a\0b", 4) == 0 && e[0] == '\0', "copies are terminated");
	ok(z[0] == 0 && memcmp(z, z + 1, 15) == 0, "xzalloc clears");
	s = xrealloc(s, 1000);
	ok(strcmp(s, "abc") == 0, "xrealloc keeps");
	free(s);
	free(m);
	free(z);
	free(e);
}

static void sizes_at_the_edges(void)
{
	volatile size_t huge = SIZE_MAX / 4;
	void *none = try_alloc(0), *none2 = xalloc(0);

	ok(none && none2, "no bytes are not a failure");
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
	ok(!try_alloc(huge) && !try_realloc(NULL, huge), "too many bytes are NULL, not the end");
#else
	(void)huge; /* a sanitizer's allocator stops the program instead */
#endif
	none = try_realloc(none, 0);
	ok(none != NULL, "nor when resizing");
	free(none);
	free(none2);
}

static void pools(void)
{
	struct pool pool = { .size = 64, .keep = 2 };
	void *a = pool_get(&pool), *b = pool_get(&pool), *c = pool_try_get(&pool);

	memset(a, 1, 64);
	pool_put(&pool, NULL);
	ok(pool.count == 0, "NULL is ignored");
	pool_put(&pool, a);
	pool_put(&pool, b);
	pool_put(&pool, c);
	ok(pool.count == 2, "no more than `keep` are kept");
	ok(pool_get(&pool) == b && pool_get(&pool) == a && pool.count == 0, "the last one freed comes first");
	memset(a, 2, 64);
	memset(b, 3, 64);
	pool_put(&pool, a);
	pool_put(&pool, b);
	pool_trim(&pool);
	ok(pool.count == 0 && !pool.free_list, "a trimmed pool is empty");
}

int main(void)
{
	copies();
	sizes_at_the_edges();
	pools();
	return tap_done();
}
