#include "base/slots.h"

#include "base/bits.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

enum { CAP_MIN = 256 };
#define NONE UINT32_MAX

struct slots_entry {
	void *object; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

static_assert(sizeof(struct slots_entry) == 16, "four to a cache line");

static conn_id make_id(const struct slots *s, uint32_t slot)
{
	return (conn_id)s->owner << 45 | (conn_id)slot << 24 | s->entries[slot].generation;
}

static void next_generation(struct slots *s, uint32_t slot)
{
	struct slots_entry *e = &s->entries[slot];

	e->generation = (e->generation + 1) & (SLOTS_GENERATIONS - 1);
	if (make_id(s, slot) == 0)
		e->generation = 1;
}

void slots_init(struct slots *s, uint8_t owner, uint32_t first_generation)
{
	*s = (struct slots){
		.free_first = NONE,
		.free_last = NONE,
		.first_generation = first_generation & (SLOTS_GENERATIONS - 1),
		.owner = owner,
	};
}

void slots_fini(struct slots *s)
{
	free(s->entries);
	slots_init(s, s->owner, s->first_generation);
}

static bool grow(struct slots *s)
{
	uint32_t cap = s->cap ? LS_MIN(s->cap * 2, (uint32_t)SLOTS_MAX) : CAP_MIN;
	struct slots_entry *bigger = cap > s->cap ? try_realloc(s->entries, cap * sizeof *bigger) : NULL;

	if (!bigger)
		return false;
	s->entries = bigger;
	s->cap = cap;
	return true;
}

static uint32_t take_fresh(struct slots *s)
{
	uint32_t slot = s->used++;

	s->entries[slot] = (struct slots_entry){ .generation = s->first_generation };
	if (make_id(s, slot) == 0)
		s->entries[slot].generation = 1;
	return slot;
}

static uint32_t take_freed(struct slots *s)
{
	uint32_t slot = s->free_first;

	s->free_first = s->entries[slot].next_free;
	if (s->free_first == NONE)
		s->free_last = NONE;
	return slot;
}

conn_id slots_add(struct slots *s, void *object)
{
	uint32_t slot;

	assert(object);
	/* All that is allocated is used before anything is used again, so that generations wrap late. */
	if (s->used < s->cap)
		slot = take_fresh(s);
	else if (s->free_first != NONE)
		slot = take_freed(s);
	else if (grow(s))
		slot = take_fresh(s);
	else
		return 0;
	s->entries[slot].object = object;
	s->count++;
	return make_id(s, slot);
}

static struct slots_entry *find(const struct slots *s, conn_id id)
{
	uint32_t slot = conn_id_slot(id);

	if (slot >= s->used || !s->entries[slot].object || make_id(s, slot) != id)
		return NULL;
	return &s->entries[slot];
}

void *slots_get(const struct slots *s, conn_id id)
{
	struct slots_entry *e = find(s, id);

	return e ? e->object : NULL;
}

void slots_del(struct slots *s, conn_id id)
{
	struct slots_entry *e = find(s, id);
	uint32_t slot = conn_id_slot(id);

	if (!e)
		return;
	e->object = NULL;
	e->next_free = NONE;
	next_generation(s, slot);
	if (s->free_last == NONE)
		s->free_first = slot;
	else
		s->entries[s->free_last].next_free = slot;
	s->free_last = slot;
	s->count--;
}

void *slots_next(const struct slots *s, uint32_t *cursor)
{
	while (*cursor < s->used) {
		void *object = s->entries[(*cursor)++].object;

		if (object)
			return object;
	}
	return NULL;
}
