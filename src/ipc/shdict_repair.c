/* Makes everything of a shard anew from its buckets' chains, after somebody died with its lock. */
#include "ipc/shdict_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One bit for each block. */
struct repair {
	struct shdict_in *in;
	uint8_t *taken; /* belongs to something that counts */
	uint8_t *heads; /* is an entry that is not yet in the new list of uses */
	uint32_t used;
	uint32_t count;
	uint32_t dropped;
};

static bool bit(const uint8_t *map, uint32_t number)
{
	return map[number / 8] >> number % 8 & 1;
}

static void set_bit(uint8_t *map, uint32_t number, bool value)
{
	uint8_t mask = (uint8_t)(1 << number % 8);

	map[number / 8] = (uint8_t)(value ? map[number / 8] | mask : map[number / 8] & ~mask);
}

static bool is_free(const struct repair *r, uint32_t number)
{
	return number >= 1 && number <= r->in->d->blocks && !bit(r->taken, number);
}

/* Takes the `n` blocks of a chain, or none of them if one is not to be had. */
static bool take_chain(struct repair *r, uint32_t first, uint64_t n)
{
	uint32_t number = first;
	uint64_t taken = 0;

	for (; taken < n && is_free(r, number); taken++) {
		set_bit(r->taken, number, true);
		number = shdict_at(r->in, number)->rest;
	}
	if (taken == n) {
		r->used += (uint32_t)n;
		return true;
	}
	for (number = first; taken > 0; taken--) {
		set_bit(r->taken, number, false);
		number = shdict_at(r->in, number)->rest;
	}
	return false;
}

/* A list is cut before its first item that is not sound. */
static void take_nodes(struct repair *r, struct shdict_entry *e)
{
	uint32_t *at = &e->first, last = 0, n = 0;

	while (*at && is_free(r, *at)) {
		struct shdict_node *node = &shdict_at(r->in, *at)->node;

		if (!take_chain(r, *at, shdict_blocks_for(node->len, NODE_INLINE)))
			break;
		node->previous = last;
		last = *at;
		at = &node->next;
		n++;
	}
	if (*at)
		shdict_commit(at, 0);
	e->last = last;
	e->value_len = n;
}

static bool take_entry(struct repair *r, uint32_t number, uint32_t bucket)
{
	struct shdict_entry *e = &shdict_at(r->in, number)->entry;

	if (e->kind <= SHDICT_NONE || e->kind >= SHDICT_KINDS || e->key_len == 0 ||
	    (e->hash & (r->in->d->buckets - 1)) != bucket)
		return false;
	if (!take_chain(r, number, shdict_blocks_for(shdict_entry_bytes(e), ENTRY_INLINE)))
		return false;
	if (e->kind == SHDICT_LIST)
		take_nodes(r, e);
	set_bit(r->heads, number, true);
	r->count++;
	return true;
}

static void take_bucket(struct repair *r, uint32_t bucket)
{
	uint32_t *at = &r->in->buckets[bucket];

	while (*at && is_free(r, *at)) {
		uint32_t number = *at;
		struct shdict_entry *e = &shdict_at(r->in, number)->entry;

		if (take_entry(r, number, bucket)) {
			at = &e->chain;
		} else {
			/* It may lead to itself; so often nothing sound is left out. */
			r->dropped++;
			shdict_commit(at, r->dropped < r->in->d->blocks ? e->chain : 0);
		}
	}
	if (*at)
		shdict_commit(at, 0);
}

/* As an older one of the list of uses. */
static void link_oldest(struct repair *r, uint32_t number)
{
	struct shdict_shard *s = r->in->shard;
	struct shdict_entry *e = &shdict_at(r->in, number)->entry;

	e->older = 0;
	e->newer = s->oldest;
	if (s->oldest)
		shdict_at(r->in, s->oldest)->entry.older = number;
	else
		s->newest = number;
	s->oldest = number;
	set_bit(r->heads, number, false);
}

/* In the old order as far as it can be followed, then those that are left. */
static void rebuild_uses(struct repair *r)
{
	struct shdict_shard *s = r->in->shard;
	uint32_t number = s->newest;

	s->newest = s->oldest = 0;
	while (number >= 1 && number <= r->in->d->blocks && bit(r->heads, number)) {
		uint32_t older = shdict_at(r->in, number)->entry.older;

		link_oldest(r, number);
		number = older;
	}
	for (number = 1; number <= r->in->d->blocks; number++)
		if (bit(r->heads, number))
			link_oldest(r, number);
}

static void rebuild_free(struct repair *r)
{
	struct shdict_shard *s = r->in->shard;

	s->virgin = r->in->d->blocks;
	while (s->virgin && !bit(r->taken, s->virgin))
		s->virgin--;
	s->free = 0;
	for (uint32_t number = s->virgin; number >= 1; number--) {
		if (bit(r->taken, number))
			continue;
		shdict_at(r->in, number)->rest = s->free;
		s->free = number;
	}
	s->used = r->used;
	s->count = r->count;
}

int shdict_repair(struct shdict_in *in)
{
	size_t bytes = in->d->blocks / 8 + 1;
	struct repair r = { .in = in, .taken = calloc(1, bytes), .heads = calloc(1, bytes) };
	bool memory = r.taken && r.heads;

	if (memory) {
		for (uint32_t bucket = 0; bucket < in->d->buckets; bucket++)
			take_bucket(&r, bucket);
		rebuild_uses(&r);
		rebuild_free(&r);
		in->shard->repairs++;
		shdict_commit(&in->shard->broken, 0);
		in->d->trapped = false;
	}
	free(r.taken);
	free(r.heads);
	return memory ? 0 : -ENOMEM;
}
