#include "base/map.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

enum { CAP_MIN = 16 };

/* Fibonacci hashing: all bits of the key, a counter or a packed id, reach the upper bits of the product. */
static inline size_t home_of(const struct map *m, uint64_t key)
{
	return (size_t)(key * 0x9e3779b97f4a7c15u >> (64 - __builtin_ctzll(m->cap)));
}

/* The entry with the key, or the free one where it would go.  There is always a free one. */
static struct map_entry *probe(const struct map *m, uint64_t key)
{
	size_t i = home_of(m, key);

	while (m->entries[i].value && m->entries[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->entries[i];
}

static void grow(struct map *m)
{
	struct map bigger = { .cap = m->cap ? m->cap * 2 : CAP_MIN, .count = m->count };

	bigger.entries = xzalloc(bigger.cap * sizeof *bigger.entries);
	for (size_t i = 0; i < m->cap; i++)
		if (m->entries[i].value)
			*probe(&bigger, m->entries[i].key) = m->entries[i];
	free(m->entries);
	*m = bigger;
}

void map_fini(struct map *m)
{
	free(m->entries);
	*m = (struct map){ 0 };
}

void *map_get(const struct map *m, uint64_t key)
{
	return m->count ? probe(m, key)->value : NULL;
}

void map_put(struct map *m, uint64_t key, void *value)
{
	struct map_entry *e;

	assert(value);
	if (m->count >= m->cap / 4 * 3)
		grow(m);
	e = probe(m, key);
	m->count += !e->value;
	*e = (struct map_entry){ key, value };
}

/* Moves later entries of the cluster into the gap, so that no tombstones are needed. */
static void close_gap(struct map *m, size_t gap)
{
	size_t mask = m->cap - 1;

	for (size_t i = (gap + 1) & mask; m->entries[i].value; i = (i + 1) & mask) {
		size_t home = home_of(m, m->entries[i].key);

		/* An entry may move only if its home is not behind the gap. */
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->entries[gap] = m->entries[i];
		gap = i;
	}
	m->entries[gap].value = NULL;
}

void *map_del(struct map *m, uint64_t key)
{
	if (m->count == 0)
		return NULL;

	struct map_entry *e = probe(m, key);
	void *value = e->value;

	if (value) {
		close_gap(m, (size_t)(e - m->entries));
		m->count--;
	}
	return value;
}

const struct map_entry *map_next(const struct map *m, size_t *cursor)
{
	while (*cursor < m->cap) {
		const struct map_entry *e = &m->entries[(*cursor)++];

		if (e->value)
			return e;
	}
	return NULL;
}
