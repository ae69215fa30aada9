/* A hash map from 64-bit keys to pointers: open addressing, linear probing, grows by doubling.  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
	uint64_t key;
	void *value; /* NULL: free */
};

struct map {
	struct map_entry *entries;
	size_t cap; /* power of two, or 0 */
	size_t count;
};

static inline void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_fini(struct map *m);
/* NULL if absent. */
void *map_get(const struct map *m, uint64_t key);
/* `value` is not NULL; replaces. */
void map_put(struct map *m, uint64_t key, void *value);
/* The value that was there, or NULL. */
void *map_del(struct map *m, uint64_t key);
/* The entry at or behind `*cursor` (start with 0), which it moves on; NULL at the end.  Do not add or delete between. */
const struct map_entry *map_next(const struct map *m, size_t *cursor);
