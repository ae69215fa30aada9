#include "ipc/shtable.h"

#include "base/bits.h"
#include "base/clock.h"
#include "ipc/shbytes.h"

#include <errno.h>

enum { READ_TRIES = 64, SWEEP_PAUSE_MS = 1000, DATA_AT = offsetof(struct shtable_row, data) };

#define RELAXED memory_order_relaxed
#define load(p) atomic_load_explicit(p, RELAXED)
#define store(p, value) atomic_store_explicit(p, value, memory_order_release)

/* ---- layout -------------------------------------------------------------------------------------------------------- */

static size_t row_size(uint32_t data_size)
{
	return DATA_AT + 2 * (size_t)data_size;
}

uint64_t shtable_bytes(uint32_t rows, uint32_t data_size)
{
	return sizeof(struct shtable_area) + pow2_up(rows) * sizeof(struct shtable_bucket) +
	       (uint64_t)rows * row_size(data_size);
}

void shtable_init(struct shtable *t, uint32_t rows, uint32_t data_size, char *scratch)
{
	t->area = t->segment.map.p;
	t->buckets = (struct shtable_bucket *)(t->area + 1);
	t->mask = (uint32_t)(pow2_up(rows) - 1);
	t->rows_at = (char *)(t->buckets + t->mask + 1);
	t->rows = rows;
	t->data_size = data_size;
	t->scratch = scratch;
}

/* NULL: no row has that number. */
static struct shtable_row *row_at(const struct shtable *t, uint32_t number)
{
	if (number == 0 || number > t->rows)
		return NULL;
	return (struct shtable_row *)(void *)(t->rows_at + (size_t)(number - 1) * row_size(t->data_size));
}

static char *copy_of(const struct shtable *t, struct shtable_row *row, uint64_t version)
{
	return row->data + (version & 1) * t->data_size;
}

/* ---- the free list ------------------------------------------------------------------------------------------------- */

static struct shtable_bucket *intent_bucket(struct shtable *t)
{
	return &t->buckets[load(&t->area->intent.bucket) & t->mask];
}

/* Somebody died with the lock of the free list: says of the move it was making that it happened, or that it did not. */
static void repair_free(struct shtable *t)
{
	struct shtable_area *a = t->area;
	uint32_t row = load(&a->intent.row), count = load(&a->intent.count), move = load(&a->intent.move);
	bool on_list = load(&a->free) == row;

	if (move == SHTABLE_POP) {
		bool happened = !on_list && load(&a->virgin) >= row;

		if (!happened)
			store(&intent_bucket(t)->pending, 0);
		store(&a->count, happened ? count + 1 : count);
	} else if (move == SHTABLE_PUSH) {
		if (on_list)
			store(&intent_bucket(t)->pending, 0);
		store(&a->count, on_list ? count - 1 : count);
	}
	store(&a->intent.move, SHTABLE_REST);
}

static int lock_free_list(struct shtable *t)
{
	int r = shlock_lock(&t->area->lock, &t->segment, SHLOCK_PATIENCE_MS);

	if (r == SHLOCK_INHERITED)
		repair_free(t);
	return r < 0 ? r : 0;
}

static void begin_move(struct shtable *t, enum shtable_move move, uint32_t bucket, uint32_t row)
{
	struct shtable_area *a = t->area;

	store(&a->intent.row, row);
	store(&a->intent.bucket, bucket);
	store(&a->intent.count, load(&a->count));
	store(&a->intent.move, move);
}

static void end_move(struct shtable *t, uint32_t count)
{
	store(&t->area->count, count);
	store(&t->area->intent.move, SHTABLE_REST);
}

/* A free row becomes pending of the bucket, which is locked.  Its number. */
static int pop_row(struct shtable *t, uint32_t bucket, uint32_t *number)
{
	struct shtable_area *a = t->area;
	uint32_t first, virgin;
	int r = lock_free_list(t);

	if (r < 0)
		return r;
	first = load(&a->free);
	virgin = load(&a->virgin);
	*number = first ? first : virgin + 1;
	if (!row_at(t, *number)) {
		shlock_unlock(&a->lock, &t->segment);
		return -ENOSPC;
	}
	begin_move(t, SHTABLE_POP, bucket, *number);
	store(&t->buckets[bucket].pending, *number);
	if (first)
		store(&a->free, load(&row_at(t, first)->next));
	else
		store(&a->virgin, virgin + 1);
	end_move(t, load(&a->count) + 1);
	shlock_unlock(&a->lock, &t->segment);
	return 0;
}

/* The bucket's pending row, which is in no chain, becomes free. */
static int push_row(struct shtable *t, uint32_t bucket)
{
	struct shtable_area *a = t->area;
	uint32_t number;
	int r = lock_free_list(t);

	if (r < 0)
		return r;
	/* The repair of the free list may just have found that it was done. */
	number = load(&t->buckets[bucket].pending);
	if (row_at(t, number)) {
		begin_move(t, SHTABLE_PUSH, bucket, number);
		store(&row_at(t, number)->next, load(&a->free));
		store(&a->free, number);
		store(&t->buckets[bucket].pending, 0);
		end_move(t, load(&a->count) - 1);
	}
	shlock_unlock(&a->lock, &t->segment);
	return 0;
}

/* ---- chains -------------------------------------------------------------------------------------------------------- */

/* A key, and where it leads. */
struct probe {
	struct str key;
	uint32_t hash;
	uint32_t bucket;
	char padded[SHTABLE_KEY_MAX];
};

static int begin_probe(const struct shtable *t, struct str key, struct probe *p)
{
	if (key.len == 0 || key.len > SHTABLE_KEY_MAX)
		return -EINVAL;
	memset(p->padded, 0, sizeof p->padded);
	memcpy(p->padded, key.p, key.len);
	p->key = key;
	p->hash = shbytes_hash(t->segment.seed, key.p, key.len);
	p->bucket = p->hash & t->mask;
	return 0;
}

static bool has_key(struct shtable_row *row, const struct probe *p)
{
	char key[SHTABLE_KEY_MAX];
	size_t padded = align_up(p->key.len, 8);

	if (load(&row->hash) != p->hash || load(&row->key_len) != p->key.len)
		return false;
	shbytes_out(key, row->key, padded);
	return memcmp(key, p->padded, padded) == 0;
}

/* The row of that key, 0 if there is none, and the word that leads to it.  -EAGAIN: rows left the chain meanwhile, and it may
 * have led astray (not under the lock); -EBADMSG: it does not end. */
static int find(struct shtable *t, const struct probe *p, uint32_t *number, _Atomic uint32_t **from)
{
	struct shtable_bucket *b = &t->buckets[p->bucket];
	_Atomic uint32_t *at = &b->first;
	uint32_t moves = load(&b->moves);

	for (uint32_t steps = 0; steps <= t->rows; steps++) {
		/* Pairs with the store that linked it. */
		struct shtable_row *row = row_at(t, *number = atomic_load_explicit(at, memory_order_acquire));

		*from = at;
		if (!row) {
			*number = 0;
			return 0;
		}
		if (has_key(row, p))
			return 0;
		if (steps % 16 == 15 && load(&b->moves) != moves)
			return -EAGAIN;
		at = &row->next;
	}
	return -EBADMSG;
}

static bool is_linked(struct shtable *t, uint32_t bucket, uint32_t number)
{
	uint32_t at = load(&t->buckets[bucket].first);

	for (uint32_t steps = 0; steps <= t->rows && row_at(t, at); steps++) {
		if (at == number)
			return true;
		at = load(&row_at(t, at)->next);
	}
	return false;
}

/* Takes the bucket's pending row, which is in no chain, away. */
static int free_pending(struct shtable *t, uint32_t bucket, struct shtable_row *row)
{
	store(&row->live, 0);
	/* Readers that may still stand on it begin anew, before it can be used for something else. */
	atomic_fetch_add_explicit(&t->buckets[bucket].moves, 1, memory_order_release);
	return push_row(t, bucket);
}

static int repair_bucket(struct shtable *t, uint32_t bucket)
{
	uint32_t number;
	struct shtable_row *row;
	int r = lock_free_list(t); /* for its repair, which may say that nothing is pending */

	if (r < 0)
		return r;
	shlock_unlock(&t->area->lock, &t->segment);
	number = load(&t->buckets[bucket].pending);
	row = row_at(t, number);
	if (row && !is_linked(t, bucket, number))
		return free_pending(t, bucket, row);
	if (row)
		store(&row->live, bucket + 1);
	store(&t->buckets[bucket].pending, 0);
	return 0;
}

static void unlock_bucket(struct shtable *t, uint32_t bucket)
{
	shlock_unlock(&t->buckets[bucket].lock, &t->segment);
}

static int lock_bucket(struct shtable *t, uint32_t bucket)
{
	int r = shlock_lock(&t->buckets[bucket].lock, &t->segment, SHLOCK_PATIENCE_MS);

	/* Also one that was left pending by somebody who could not get the lock of the free list. */
	if (r < 0 || load(&t->buckets[bucket].pending) == 0)
		return r < 0 ? r : 0;
	r = repair_bucket(t, bucket);
	if (r < 0)
		unlock_bucket(t, bucket);
	return r;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

/* -EAGAIN: somebody wrote meanwhile. */
static int try_get(struct shtable *t, const struct probe *p, char *out)
{
	struct shtable_bucket *b = &t->buckets[p->bucket];
	uint32_t moves = atomic_load_explicit(&b->moves, memory_order_acquire), number;
	uint64_t version = 0;
	_Atomic uint32_t *from;
	int r = find(t, p, &number, &from);
	struct shtable_row *row = row_at(t, number);

	if (r == 0 && row) {
		version = atomic_load_explicit(&row->version, memory_order_acquire);
		shbytes_out(out, copy_of(t, row, version), t->data_size);
	}
	/* What was read was read before the words are looked at again; pairs with the writers' stores. */
	atomic_thread_fence(memory_order_acquire);
	if (load(&b->moves) != moves || (row && load(&row->version) != version))
		return -EAGAIN;
	return r < 0 || row ? r : -ENOENT;
}

int shtable_get(struct shtable *t, struct str key, char *out)
{
	struct probe p;
	int r = begin_probe(t, key, &p);

	if (r < 0)
		return r;
	for (int i = 0; i < READ_TRIES; i++) {
		r = try_get(t, &p, out);
		if (r != -EAGAIN)
			return r;
	}
	r = lock_bucket(t, p.bucket);
	if (r < 0)
		return r;
	r = try_get(t, &p, out);
	unlock_bucket(t, p.bucket);
	return r;
}

uint32_t shtable_count(const struct shtable *t)
{
	return LS_MIN(load(&t->area->count), t->rows);
}

/* The length of its key; 0: it is not in use, or is just being changed from one use to another. */
static size_t read_row(struct shtable *t, struct shtable_row *row, char *key, char *out)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint64_t version = atomic_load_explicit(&row->version, memory_order_acquire);
		uint32_t live = atomic_load_explicit(&row->live, memory_order_acquire), len = load(&row->key_len);

		if (live == 0 || len == 0 || len > SHTABLE_KEY_MAX)
			return 0;
		shbytes_out(key, row->key, SHTABLE_KEY_MAX);
		shbytes_out(out, copy_of(t, row, version), t->data_size);
		atomic_thread_fence(memory_order_acquire);
		if (load(&row->version) == version && load(&row->live) == live)
			return len;
	}
	return 0;
}

size_t shtable_next(struct shtable *t, uint32_t *cursor, char key[SHTABLE_KEY_MAX], char *out)
{
	uint32_t last = LS_MIN(load(&t->area->virgin), t->rows);

	while (*cursor < last) {
		size_t len = read_row(t, row_at(t, ++*cursor), key, out);

		if (len)
			return len;
	}
	return 0;
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void write_data(struct shtable *t, struct shtable_row *row)
{
	uint64_t version = load(&row->version) + 1;

	/* A reader that sees a word of this copy sees the last version too, whose copy it was not. */
	atomic_thread_fence(memory_order_release);
	shbytes_in(copy_of(t, row, version), t->scratch, t->data_size);
	store(&row->version, version);
}

static int insert(struct shtable *t, const struct probe *p)
{
	struct shtable_bucket *b = &t->buckets[p->bucket];
	struct shtable_row *row;
	uint32_t number;
	int r = pop_row(t, p->bucket, &number);

	if (r < 0)
		return r;
	row = row_at(t, number);
	store(&row->live, 0);
	atomic_thread_fence(memory_order_release);
	shbytes_in(row->key, p->padded, SHTABLE_KEY_MAX);
	atomic_store_explicit(&row->key_len, (uint32_t)p->key.len, RELAXED);
	atomic_store_explicit(&row->hash, p->hash, RELAXED);
	write_data(t, row);
	store(&row->next, load(&b->first));
	store(&b->first, number);
	store(&row->live, p->bucket + 1);
	store(&b->pending, 0);
	return 0;
}

static int write_locked(struct shtable *t, const struct probe *p, enum shtable_how how,
                        int (*edit)(void *ctx, char *data), void *ctx)
{
	_Atomic uint32_t *from;
	uint32_t number;
	int r = find(t, p, &number, &from);
	struct shtable_row *row = row_at(t, number);

	if (r < 0)
		return r;
	if (row ? how == SHTABLE_ADD : how == SHTABLE_UPDATE)
		return row ? -EEXIST : -ENOENT;
	if (row)
		shbytes_out(t->scratch, copy_of(t, row, load(&row->version)), t->data_size);
	else
		memset(t->scratch, 0, t->data_size);
	r = edit(ctx, t->scratch);
	if (r < 0)
		return r;
	if (!row)
		return insert(t, p);
	write_data(t, row);
	return 0;
}

static int write_once(struct shtable *t, const struct probe *p, enum shtable_how how,
                      int (*edit)(void *ctx, char *data), void *ctx)
{
	int r = lock_bucket(t, p->bucket);

	if (r < 0)
		return r;
	r = write_locked(t, p, how, edit, ctx);
	unlock_bucket(t, p->bucket);
	return r;
}

/* Frees what the dead had in hand in buckets that nobody wrote to since.  True: there was something. */
static bool sweep(struct shtable *t)
{
	uint64_t now = clock_ms();
	bool freed = false;

	if (t->swept_ms && now - t->swept_ms < SWEEP_PAUSE_MS)
		return false;
	t->swept_ms = now;
	for (uint32_t bucket = 0; bucket <= t->mask; bucket++)
		if (load(&t->buckets[bucket].pending) && lock_bucket(t, bucket) == 0) {
			unlock_bucket(t, bucket);
			freed = true;
		}
	return freed;
}

int shtable_write(struct shtable *t, struct str key, enum shtable_how how, int (*edit)(void *ctx, char *data),
                  void *ctx)
{
	struct probe p;
	int r = begin_probe(t, key, &p);

	if (r < 0)
		return r;
	r = write_once(t, &p, how, edit, ctx);
	return r == -ENOSPC && sweep(t) ? write_once(t, &p, how, edit, ctx) : r;
}

static int del_locked(struct shtable *t, const struct probe *p, char *out)
{
	_Atomic uint32_t *from;
	uint32_t number;
	int r = find(t, p, &number, &from);
	struct shtable_row *row = row_at(t, number);

	if (r < 0 || !row)
		return r < 0 ? r : -ENOENT;
	if (out)
		shbytes_out(out, copy_of(t, row, load(&row->version)), t->data_size);
	store(&t->buckets[p->bucket].pending, number);
	store(from, load(&row->next));
	return free_pending(t, p->bucket, row);
}

int shtable_del(struct shtable *t, struct str key, char *out)
{
	struct probe p;
	int r = begin_probe(t, key, &p);

	if (r == 0)
		r = lock_bucket(t, p.bucket);
	if (r < 0)
		return r;
	r = del_locked(t, &p, out);
	unlock_bucket(t, p.bucket);
	return r;
}
