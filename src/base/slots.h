/* Connection ids: a table of slots whose ids are not reused.
 *
 *   conn_id, 53 bits so that a Lua number holds it:   8 owner | 21 slot | 24 generation
 *
 * The owner is the reactor (process mode) or the worker (base mode).  Freed slots are reused first in, first out, so
 * that a slot's generation wraps as late as possible.  One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t conn_id;

enum { SLOTS_MAX = 1 << 21, SLOTS_GENERATIONS = 1 << 24, SLOTS_OWNERS = 256 };

struct slots_entry;

struct slots {
	struct slots_entry *entries;
	uint32_t cap;   /* allocated */
	uint32_t used;  /* ever used: entries below it are initialised */
	uint32_t count; /* in use now */
	uint32_t free_first;
	uint32_t free_last;
	uint32_t first_generation; /* of a fresh slot */
	uint8_t owner;
};

/* `first_generation` (taken modulo 2^24) differs between successive processes that share an owner number, so that
 * their ids differ. */
void slots_init(struct slots *s, uint8_t owner, uint32_t first_generation);
void slots_fini(struct slots *s);

/* Gives `object` (not NULL) an id; 0: the table is full (2^21). An id is never 0. */
conn_id slots_add(struct slots *s, void *object);
/* The object, or NULL when the id is stale or foreign. */
void *slots_get(const struct slots *s, conn_id id);
/* Ends the id. */
void slots_del(struct slots *s, conn_id id);
/* The object in the first used slot at or behind `*cursor` (start with 0), which it moves on; NULL at the end. */
void *slots_next(const struct slots *s, uint32_t *cursor);

static inline uint8_t conn_id_owner(conn_id id)
{
	return (uint8_t)(id >> 45);
}

static inline uint32_t conn_id_slot(conn_id id)
{
	return (uint32_t)(id >> 24) & (SLOTS_MAX - 1);
}

static inline uint32_t conn_id_generation(conn_id id)
{
	return (uint32_t)id & (SLOTS_GENERATIONS - 1);
}
