#include "ipc/shdict_block.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_CHECKS = 2 };

/* ---- shards --------------------------------------------------------------------------------------------------------- */

int shdict_enter(struct shdict *d, uint32_t shard, struct shdict_in *in)
{
	size_t size = (size_t)d->buckets * sizeof *in->buckets + (size_t)d->blocks * BLOCK;
	char *content = d->content + (size_t)shard * size;
	int r;

	*in = (struct shdict_in){
		.d = d,
		.shard = &d->shards[shard],
		.buckets = (uint32_t *)(void *)content,
		.blocks = (struct shdict_block *)(void *)(content + (size_t)d->buckets * sizeof *in->buckets),
	};
	d->trapped = false;
	r = shlock_lock(&in->shard->lock, &d->segment, SHLOCK_PATIENCE_MS);
	if (r == SHLOCK_INHERITED)
		shdict_commit(&in->shard->broken, 1);
	if (r < 0 || !in->shard->broken)
		return r < 0 ? r : 0;
	r = shdict_repair(in);
	if (r < 0)
		shlock_unlock(&in->shard->lock, &d->segment);
	return r;
}

void shdict_leave(struct shdict_in *in)
{
	if (in->d->trapped)
		in->shard->broken = 1;
	shlock_unlock(&in->shard->lock, &in->d->segment);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------------- */

static uint32_t take_one(struct shdict_in *in)
{
	struct shdict_shard *s = in->shard;
	uint32_t number = s->free;

	if (number)
		s->free = shdict_at(in, number)->rest;
	else
		number = ++s->virgin;
	s->used++;
	return number;
}

uint32_t shdict_take(struct shdict_in *in, uint64_t n)
{
	uint32_t first = 0, *link = &first;

	for (uint64_t i = 0; i < n; i++) {
		*link = take_one(in);
		link = &shdict_at(in, *link)->rest;
	}
	*link = 0;
	return first;
}

void shdict_give(struct shdict_in *in, uint32_t first, uint64_t n)
{
	struct shdict_block *last = shdict_at(in, first);

	for (uint64_t i = 1; i < n && !in->d->trapped; i++)
		last = shdict_at(in, last->rest);
	last->rest = in->shard->free;
	in->shard->free = first;
	in->shard->used -= (uint32_t)LS_MIN(n, (uint64_t)in->shard->used);
}

/* Where byte `at` stands, how many follow it there, and the block behind. */
static const char *locate(struct shdict_in *in, const char *head, unsigned room, uint32_t *rest, uint64_t at,
                          size_t *there)
{
	if (at < room) {
		*there = room - at;
		return head + at;
	}
	at -= room;
	for (; at >= REST_INLINE && !in->d->trapped; at -= REST_INLINE)
		*rest = shdict_at(in, *rest)->rest;

	struct shdict_block *b = shdict_at(in, *rest);

	*rest = b->rest;
	at %= REST_INLINE;
	*there = REST_INLINE - at;
	return b->bytes + at;
}

void shdict_write(struct shdict_in *in, char *head, unsigned room, uint32_t rest, uint64_t at, struct str bytes)
{
	size_t there = 0;

	if (bytes.len == 0)
		return;

	char *to = (char *)(uintptr_t)locate(in, head, room, &rest, at, &there);

	for (;;) {
		size_t n = LS_MIN(there, bytes.len);
		struct shdict_block *b;

		memcpy(to, bytes.p, n);
		bytes = str_skip(bytes, n);
		if (bytes.len == 0 || in->d->trapped)
			return;
		b = shdict_at(in, rest);
		rest = b->rest;
		to = b->bytes;
		there = REST_INLINE;
	}
}

void shdict_read(struct shdict_in *in, const char *head, unsigned room, uint32_t rest, uint64_t at, char *out,
                 size_t len)
{
	size_t there = 0;

	if (len == 0)
		return;

	const char *from = locate(in, head, room, &rest, at, &there);

	for (;;) {
		size_t n = LS_MIN(there, len);
		struct shdict_block *b;

		memcpy(out, from, n);
		out += n;
		len -= n;
		if (len == 0)
			return;
		b = shdict_at(in, rest);
		rest = b->rest;
		from = b->bytes;
		there = REST_INLINE;
	}
}

char *shdict_buffer(struct shdict *d, size_t size)
{
	if (size > d->buffer_size) {
		char *larger = realloc(d->buffer, size);

		if (!larger)
			return NULL;
		d->buffer = larger;
		d->buffer_size = size;
	}
	return d->buffer;
}

/* ---- order of use ---------------------------------------------------------------------------------------------------- */

void shdict_link_newest(struct shdict_in *in, uint32_t number)
{
	struct shdict_shard *s = in->shard;
	struct shdict_entry *e = &shdict_at(in, number)->entry;

	e->newer = 0;
	e->older = s->newest;
	if (s->newest)
		shdict_at(in, s->newest)->entry.newer = number;
	else
		s->oldest = number;
	s->newest = number;
}

void shdict_unlink_use(struct shdict_in *in, uint32_t number)
{
	struct shdict_shard *s = in->shard;
	struct shdict_entry *e = &shdict_at(in, number)->entry;

	if (e->newer)
		shdict_at(in, e->newer)->entry.older = e->older;
	else
		s->newest = e->older;
	if (e->older)
		shdict_at(in, e->older)->entry.newer = e->newer;
	else
		s->oldest = e->newer;
}

/* ---- making room ------------------------------------------------------------------------------------------------------ */

bool shdict_expired(const struct shdict_in *in, const struct shdict_entry *e)
{
	return e->epoch != in->shard->epoch || (e->expires_ms && e->expires_ms <= clock_ms());
}

static void give_nodes(struct shdict_in *in, const struct shdict_entry *e)
{
	uint32_t number = e->first;

	for (uint32_t i = 0; i < in->d->blocks && number && !in->d->trapped; i++) {
		struct shdict_node *node = &shdict_at(in, number)->node;
		uint32_t next = node->next;

		shdict_give(in, number, shdict_blocks_for(node->len, NODE_INLINE));
		number = next;
	}
}

void shdict_drop(struct shdict_in *in, uint32_t *from, uint32_t number)
{
	struct shdict_entry *e = &shdict_at(in, number)->entry;

	shdict_commit(from, e->chain);
	shdict_unlink_use(in, number);
	if (e->kind == SHDICT_LIST)
		give_nodes(in, e);
	shdict_give(in, number, shdict_blocks_for(shdict_entry_bytes(e), ENTRY_INLINE));
	in->shard->count--;
}

void shdict_evict(struct shdict_in *in, uint32_t number)
{
	uint32_t *from = &in->buckets[shdict_at(in, number)->entry.hash & (in->d->buckets - 1)];

	for (uint32_t i = 0; i < in->d->blocks && *from && *from != number && !in->d->trapped; i++)
		from = &shdict_at(in, *from)->entry.chain;
	if (*from == number)
		shdict_drop(in, from, number);
	else
		in->d->trapped = true; /* it is in the list of uses and not in its chain */
}

/* A few that have expired, as they come to the end of the list. */
static void drop_expired_tail(struct shdict_in *in, uint32_t spared)
{
	for (int i = 0; i < TAIL_CHECKS && in->shard->oldest; i++) {
		uint32_t number = in->shard->oldest;

		if (number == spared || !shdict_expired(in, &shdict_at(in, number)->entry))
			return;
		shdict_evict(in, number);
		in->shard->expired++;
	}
}

int shdict_make_room(struct shdict_in *in, uint64_t n, bool safe, uint32_t spared, unsigned *evicted)
{
	struct shdict_shard *s = in->shard;

	drop_expired_tail(in, spared);
	while (shdict_room(in) < n && !in->d->trapped) {
		uint32_t number = s->oldest == spared && s->oldest ? shdict_at(in, s->oldest)->entry.newer : s->oldest;
		bool expired;

		if (number == 0)
			return -ENOSPC;
		expired = shdict_expired(in, &shdict_at(in, number)->entry);
		if (safe && !expired)
			return -ENOSPC;
		shdict_evict(in, number);
		if (expired) {
			s->expired++;
			continue;
		}
		s->evicted++;
		++*evicted;
	}
	return in->d->trapped ? -ENOSPC : 0;
}
