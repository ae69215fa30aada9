#include "ipc/shdict_block.h"

#include "base/clock.h"
#include "ipc/shbytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SHARD_BYTES = 4 << 20, SHARDS_MAX = 64, BUCKETS_MIN = 16, KEYS_SLICE = 256 };

/* ---- layout ---------------------------------------------------------------------------------------------------------- */

static uint64_t pow2_down(uint64_t n)
{
	return pow2_up(n + 1) / 2;
}

int shdict_init(struct shdict *d, uint64_t bytes)
{
	uint64_t shards = LS_MIN(pow2_down(LS_MAX(bytes / SHARD_BYTES, UINT64_C(1))), (uint64_t)SHARDS_MAX);
	uint64_t head = align_up(SEGMENT_HEAD, sizeof(struct shdict_shard)) + shards * sizeof(struct shdict_shard);
	uint64_t room = (bytes - head) / shards / BLOCK * BLOCK;
	uint64_t buckets = LS_MAX(pow2_down(room / (BLOCK + sizeof(uint32_t))), (uint64_t)BUCKETS_MIN);

	d->shards = segment_at(&d->segment, align_up(SEGMENT_HEAD, sizeof(struct shdict_shard)));
	d->content = segment_at(&d->segment, head);
	d->n_shards = (uint32_t)shards;
	d->buckets = (uint32_t)buckets;
	d->blocks = (uint32_t)((room - buckets * sizeof(uint32_t)) / BLOCK);
	d->trap = calloc(1, sizeof *d->trap);
	return d->trap ? 0 : -ENOMEM;
}

void shdict_fini(struct shdict *d)
{
	free(d->trap);
	free(d->buffer);
	d->trap = NULL;
	d->buffer = NULL;
}

/* ---- finding --------------------------------------------------------------------------------------------------------- */

static bool has_key(struct shdict_in *in, const struct shdict_entry *e, const struct shdict_probe *p)
{
	char piece[256];

	if (e->hash != p->hash || e->key_len != p->key.len)
		return false;
	if (p->key.len <= ENTRY_INLINE)
		return memcmp(e->bytes, p->key.p, p->key.len) == 0;
	for (size_t at = 0, n; at < p->key.len; at += n) {
		n = LS_MIN(p->key.len - at, sizeof piece);
		shdict_read(in, e->bytes, ENTRY_INLINE, e->rest, at, piece, n);
		if (memcmp(piece, p->key.p + at, n) != 0)
			return false;
	}
	return true;
}

static void look_up(struct shdict_in *in, struct shdict_probe *p)
{
	uint32_t *at = &in->buckets[p->hash & (in->d->buckets - 1)];

	p->number = 0;
	for (uint32_t i = 0; i < in->d->blocks && *at && !in->d->trapped; i++) {
		struct shdict_entry *e = &shdict_at(in, *at)->entry;

		if (has_key(in, e, p)) {
			p->number = *at;
			break;
		}
		at = &e->chain;
	}
	p->from = at;
}

int shdict_find(struct shdict *d, struct str key, struct shdict_in *in, struct shdict_probe *p)
{
	int r;

	if (key.len == 0 || key.len > SHDICT_KEY_MAX)
		return -EINVAL;
	p->key = key;
	p->hash = shbytes_hash(d->segment.seed, key.p, key.len);
	/* Buckets are chosen by the other end. */
	r = shdict_enter(d, (uint32_t)((uint64_t)p->hash * d->n_shards >> 32), in);
	if (r == 0)
		look_up(in, p);
	return r;
}

static struct shdict_entry *entry_of(struct shdict_in *in, const struct shdict_probe *p)
{
	return p->number ? &shdict_at(in, p->number)->entry : NULL;
}

/* Those that have expired count as absent. */
static struct shdict_entry *fresh_entry_of(struct shdict_in *in, const struct shdict_probe *p)
{
	struct shdict_entry *e = entry_of(in, p);

	return e && !shdict_expired(in, e) ? e : NULL;
}

static void touch(struct shdict_in *in, uint32_t number)
{
	if (in->shard->newest == number)
		return;
	shdict_unlink_use(in, number);
	shdict_link_newest(in, number);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static int copy_out(struct shdict_in *in, const struct shdict_entry *e, struct shdict_value *out)
{
	struct shdict_value v = { .kind = (enum shdict_kind)e->kind, .flags = e->flags, .number = e->number };

	if (e->kind == SHDICT_STRING || e->kind == SHDICT_PACKED) {
		/* No entry is longer than its shard. */
		size_t len = LS_MIN((size_t)e->value_len, (size_t)in->d->blocks * BLOCK);
		char *buffer = shdict_buffer(in->d, len + 1);

		if (!buffer)
			return -ENOMEM;
		shdict_read(in, e->bytes, ENTRY_INLINE, e->rest, e->key_len, buffer, len);
		v.bytes = str_make(buffer, len);
	} else if (e->kind == SHDICT_LIST) {
		return -EPROTOTYPE;
	}
	*out = v;
	return 0;
}

int shdict_get(struct shdict *d, struct str key, bool stale, struct shdict_value *out)
{
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	bool expired;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	e = entry_of(&in, &p);
	expired = e && shdict_expired(&in, e);
	if (!e || (expired && !stale)) {
		r = -ENOENT;
	} else {
		r = copy_out(&in, e, out);
		if (r == 0)
			out->stale = expired;
		touch(&in, p.number);
	}
	shdict_leave(&in);
	return r;
}

int shdict_ttl(struct shdict *d, struct str key, uint64_t *ms)
{
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	e = fresh_entry_of(&in, &p);
	if (e)
		*ms = e->expires_ms ? LS_MAX(e->expires_ms - LS_MIN(clock_ms(), e->expires_ms), UINT64_C(1)) : 0;
	shdict_leave(&in);
	return e ? 0 : -ENOENT;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static uint64_t expiry(uint64_t ttl_ms)
{
	return ttl_ms ? clock_ms() + ttl_ms : 0;
}

static void fill_entry(struct shdict_in *in, uint32_t number, const struct shdict_probe *p,
                       const struct shdict_value *value, uint64_t ttl_ms)
{
	struct shdict_entry *e = &shdict_at(in, number)->entry;

	e->expires_ms = expiry(ttl_ms);
	e->number = value->number;
	e->hash = p->hash;
	e->value_len = (uint32_t)value->bytes.len;
	e->key_len = (uint16_t)p->key.len;
	e->kind = (uint8_t)value->kind;
	e->epoch = in->shard->epoch;
	e->flags = value->flags;
	if (value->kind == SHDICT_LIST)
		e->first = e->last = 0;
	shdict_write(in, e->bytes, ENTRY_INLINE, e->rest, 0, p->key);
	shdict_write(in, e->bytes, ENTRY_INLINE, e->rest, p->key.len, value->bytes);
}

/* The new one stands where the old one stood, in one store; then the old one's blocks are free. */
static void replace(struct shdict_in *in, struct shdict_probe *p, uint32_t number)
{
	uint32_t old = p->number;

	shdict_at(in, number)->entry.chain = old ? shdict_at(in, old)->entry.chain : *p->from;
	shdict_commit(p->from, number);
	if (old) {
		/* Through a word of nobody's, which leads to it. */
		uint32_t way = old;

		shdict_drop(in, &way, old);
	}
	shdict_link_newest(in, number);
	in->shard->count++;
}

/* What its present value takes, lists aside. */
static uint64_t own_blocks(struct shdict_in *in, const struct shdict_probe *p)
{
	const struct shdict_entry *e = entry_of(in, p);

	return e ? shdict_blocks_for(shdict_entry_bytes(e), ENTRY_INLINE) : 0;
}

int shdict_store(struct shdict_in *in, struct shdict_probe *p, const struct shdict_value *value, bool safe,
                 uint64_t ttl_ms, unsigned *evicted)
{
	uint64_t n = shdict_blocks_for(p->key.len + value->bytes.len, ENTRY_INLINE);
	uint32_t number;
	int r;

	*evicted = 0;
	if (n > in->d->blocks)
		return -E2BIG;
	r = shdict_make_room(in, n, safe, p->number, evicted);
	if (r == -ENOSPC && own_blocks(in, p) + shdict_room(in) >= n && !in->d->trapped) {
		/* Only its own predecessor is left to give way.  This is the one moment at which a death leaves neither. */
		shdict_drop(in, p->from, p->number);
		r = shdict_make_room(in, n, safe, 0, evicted);
	}
	if (r < 0)
		return r;
	look_up(in, p); /* those that went may have stood before it in its chain */
	number = shdict_take(in, n);
	fill_entry(in, number, p, value, ttl_ms);
	replace(in, p, number);
	return 0;
}

int shdict_put(struct shdict *d, struct str key, const struct shdict_value *value, enum shdict_how how, bool safe,
               uint64_t ttl_ms, unsigned *evicted)
{
	struct shdict_in in;
	struct shdict_probe p;
	int r = shdict_find(d, key, &in, &p);

	*evicted = 0;
	if (r < 0)
		return r;
	if (how == SHDICT_ADD && fresh_entry_of(&in, &p))
		r = -EEXIST;
	else if (how == SHDICT_REPLACE && !fresh_entry_of(&in, &p))
		r = -ENOENT;
	else
		r = shdict_store(&in, &p, value, safe, ttl_ms, evicted);
	shdict_leave(&in);
	return r;
}

int shdict_delete(struct shdict *d, struct str key)
{
	struct shdict_in in;
	struct shdict_probe p;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	r = fresh_entry_of(&in, &p) ? 0 : -ENOENT;
	if (p.number)
		shdict_drop(&in, p.from, p.number);
	shdict_leave(&in);
	return r;
}

/* One store, so it is done or not. */
static void set_number(struct shdict_entry *e, double number)
{
	uint64_t bits;

	memcpy(&bits, &number, sizeof bits);
	__atomic_store_n((uint64_t *)(void *)&e->number, bits, __ATOMIC_RELEASE);
}

int shdict_incr(struct shdict *d, struct str key, double by, const double *init, uint64_t init_ttl_ms, double *result,
                unsigned *evicted)
{
	struct shdict_value value = { .kind = SHDICT_NUMBER };
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	int r = shdict_find(d, key, &in, &p);

	*evicted = 0;
	if (r < 0)
		return r;
	e = fresh_entry_of(&in, &p);
	if (e && e->kind != SHDICT_NUMBER) {
		r = -EPROTOTYPE;
	} else if (e) {
		*result = e->number + by;
		set_number(e, *result);
		touch(&in, p.number);
	} else if (init) {
		*result = value.number = *init + by;
		r = shdict_store(&in, &p, &value, false, init_ttl_ms, evicted);
	} else {
		r = -ENOENT;
	}
	shdict_leave(&in);
	return r;
}

int shdict_expire(struct shdict *d, struct str key, uint64_t ttl_ms)
{
	struct shdict_in in;
	struct shdict_probe p;
	struct shdict_entry *e;
	int r = shdict_find(d, key, &in, &p);

	if (r < 0)
		return r;
	e = fresh_entry_of(&in, &p);
	if (e)
		__atomic_store_n(&e->expires_ms, expiry(ttl_ms), __ATOMIC_RELEASE);
	shdict_leave(&in);
	return e ? 0 : -ENOENT;
}

/* ---- all of it -------------------------------------------------------------------------------------------------------- */

int shdict_flush_all(struct shdict *d)
{
	for (uint32_t i = 0; i < d->n_shards; i++) {
		struct shdict_in in;
		int r = shdict_enter(d, i, &in);

		if (r < 0)
			return r;
		in.shard->epoch++;
		shdict_leave(&in);
	}
	return 0;
}

/* Of a slice of buckets, so that nobody waits long. */
static uint32_t flush_slice(struct shdict_in *in, uint32_t first, uint32_t max)
{
	uint32_t freed = 0, steps = 0;

	for (uint32_t i = first; i < LS_MIN(first + KEYS_SLICE, in->d->buckets); i++) {
		uint32_t *at = &in->buckets[i];

		while (*at && freed < max && !in->d->trapped && steps++ < in->d->blocks) {
			struct shdict_entry *e = &shdict_at(in, *at)->entry;

			if (!shdict_expired(in, e)) {
				at = &e->chain;
				continue;
			}
			shdict_drop(in, at, *at);
			in->shard->expired++;
			freed++;
		}
	}
	return freed;
}

long shdict_flush_expired(struct shdict *d, uint32_t max)
{
	uint32_t left = max ? max : UINT32_MAX;
	long freed = 0;

	for (uint32_t i = 0; i < d->n_shards; i++)
		for (uint32_t first = 0; first < d->buckets && left; first += KEYS_SLICE) {
			struct shdict_in in;
			int r = shdict_enter(d, i, &in);
			uint32_t n;

			if (r < 0)
				return r;
			n = flush_slice(&in, first, left);
			shdict_leave(&in);
			left -= n;
			freed += n;
		}
	return freed;
}

/* Keys of a slice of buckets into the buffer, each behind its length; bytes used, or -ENOMEM. */
static ssize_t collect_keys(struct shdict_in *in, uint32_t first, uint32_t max)
{
	size_t used = 0;
	uint32_t n = 0, steps = 0;

	for (uint32_t i = first; i < LS_MIN(first + KEYS_SLICE, in->d->buckets); i++)
		for (uint32_t at = in->buckets[i]; at && n < max && !in->d->trapped && steps++ < in->d->blocks;) {
			const struct shdict_entry *e = &shdict_at(in, at)->entry;
			char *buffer;

			at = e->chain;
			if (shdict_expired(in, e))
				continue;
			buffer = shdict_buffer(in->d, used + sizeof e->key_len + e->key_len);
			if (!buffer)
				return -ENOMEM;
			memcpy(buffer + used, &e->key_len, sizeof e->key_len);
			used += sizeof e->key_len;
			shdict_read(in, e->bytes, ENTRY_INLINE, e->rest, 0, buffer + used, e->key_len);
			used += e->key_len;
			n++;
		}
	return (ssize_t)used;
}

int shdict_keys(struct shdict *d, uint32_t max, void (*emit)(void *ctx, struct str key), void *ctx)
{
	uint32_t left = max ? max : UINT32_MAX;

	for (uint32_t i = 0; i < d->n_shards; i++)
		for (uint32_t first = 0; first < d->buckets && left; first += KEYS_SLICE) {
			struct shdict_in in;
			ssize_t used;
			int r = shdict_enter(d, i, &in);

			if (r < 0)
				return r;
			used = collect_keys(&in, first, left);
			shdict_leave(&in);
			if (used < 0)
				return (int)used;
			for (ssize_t at = 0; at < used; left--) {
				uint16_t len;

				memcpy(&len, d->buffer + at, sizeof len);
				at += (ssize_t)sizeof len;
				emit(ctx, str_make(d->buffer + at, len));
				at += len;
			}
		}
	return 0;
}

void shdict_stats(const struct shdict *d, struct shdict_stats *out)
{
	*out = (struct shdict_stats){ .capacity = (uint64_t)d->n_shards * d->blocks * BLOCK };
	for (uint32_t i = 0; i < d->n_shards; i++) {
		const struct shdict_shard *s = &d->shards[i];
		uint32_t used = __atomic_load_n(&s->used, __ATOMIC_RELAXED);

		out->free += (uint64_t)(d->blocks - LS_MIN(used, d->blocks)) * BLOCK;
		out->count += __atomic_load_n(&s->count, __ATOMIC_RELAXED);
		out->evicted += __atomic_load_n(&s->evicted, __ATOMIC_RELAXED);
		out->expired += __atomic_load_n(&s->expired, __ATOMIC_RELAXED);
		out->repairs += __atomic_load_n(&s->repairs, __ATOMIC_RELAXED);
	}
}
