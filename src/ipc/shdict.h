/* A dictionary in shared memory: keys to values of any size, that expire, and the least recently used of which give way.
 *
 * The memory is cut into blocks of 64 bytes; a value is a chain of them.  So nothing is ever fragmented, and making room is
 * giving back the oldest entries until there are enough blocks.  Keys are spread over shards by hash, each with a lock and
 * memory of its own; "oldest" is meant within a shard, and a value must fit into one.
 *
 * Invariant: what counts are the buckets' chains and what hangs off them, and each change of these is one store: an entry is
 * written in whole before it is linked, one that replaces another takes its place in the chain, and its blocks are reused
 * only after it is out.  Everything else - order of use, free blocks, counts - is made anew by whoever inherits a shard's
 * lock (shdict_repair.c), in time of the order of the shard's size.  Nothing found in the memory is believed: an index out
 * of bounds leads to a block that is nobody's, and has the shard repaired.
 *
 * A struct shdict belongs to one thread.
 */
#pragma once

#include "base/str.h"
#include "ipc/shlock.h"

#include <stdbool.h>

enum { SHDICT_BYTES_MIN = 64 << 10, SHDICT_KEY_MAX = 65535 };

/* Also the order in the memory. */
enum shdict_kind {
	SHDICT_NONE,
	SHDICT_NUMBER,
	SHDICT_BOOLEAN,
	SHDICT_STRING,
	SHDICT_PACKED,
	SHDICT_LIST,
	SHDICT_KINDS
};

struct shdict_value {
	enum shdict_kind kind;
	struct str bytes; /* read: lent until the next call */
	double number;    /* numbers and booleans */
	uint32_t flags;   /* the app's */
	bool stale;       /* it had expired */
};

struct shdict_block;
struct shdict_shard;

struct shdict {
	struct segment segment;
	struct shdict_shard *shards;
	uint32_t n_shards; /* a power of two */
	uint32_t buckets;  /* of a shard, a power of two */
	uint32_t blocks;   /* of a shard */
	char *content;     /* of the first shard: buckets and blocks */
	char *buffer;      /* what was read */
	size_t buffer_size;
	struct shdict_block *trap; /* nobody's */
	bool trapped;
};

enum shdict_how { SHDICT_SET, SHDICT_ADD, SHDICT_REPLACE };

/* The segment is open and has `bytes` bytes.  -ENOMEM. */
int shdict_init(struct shdict *d, uint64_t bytes);
void shdict_fini(struct shdict *d);

/* All: -ETIMEDOUT: another process has the shard's lock and stands still; -ENOMEM. Keys have 1 to SHDICT_KEY_MAX bytes: -EINVAL. */

/* -ENOENT.  `stale`: expired ones too, as long as they are there. */
int shdict_get(struct shdict *d, struct str key, bool stale, struct shdict_value *out);
/* ttl_ms 0: for ever.  `safe`: -ENOSPC rather than evicting others that have not expired; else *evicted says how many were.
 * -EEXIST, -ENOENT: see `how`; -E2BIG: the value fits into no shard. */
int shdict_put(struct shdict *d, struct str key, const struct shdict_value *value, enum shdict_how how, bool safe,
               uint64_t ttl_ms, unsigned *evicted);
int shdict_delete(struct shdict *d, struct str key);
/* `init` NULL: -ENOENT if there is no such key.  -EPROTOTYPE: it holds no number. */
int shdict_incr(struct shdict *d, struct str key, double by, const double *init, uint64_t init_ttl_ms, double *result,
                unsigned *evicted);
/* Milliseconds left; 0: it does not expire. */
int shdict_ttl(struct shdict *d, struct str key, uint64_t *ms);
int shdict_expire(struct shdict *d, struct str key, uint64_t ttl_ms);

/* shdict_list.c.  Strings and numbers at both ends of a list; its new length.  -EPROTOTYPE: the key holds no list; -ENOSPC:
 * lists do not evict. */
int shdict_push(struct shdict *d, struct str key, const struct shdict_value *value, bool left, uint32_t *len);
/* -ENOENT.  A list that becomes empty is gone. */
int shdict_pop(struct shdict *d, struct str key, bool left, struct shdict_value *out);
int shdict_length(struct shdict *d, struct str key, uint32_t *len);

/* Everything counts as expired. */
int shdict_flush_all(struct shdict *d);
/* Frees at most `max` expired ones (0: all); how many. */
long shdict_flush_expired(struct shdict *d, uint32_t max);
/* Calls emit() for at most `max` keys that have not expired (0: all), outside of locks. The key is lent. */
int shdict_keys(struct shdict *d, uint32_t max, void (*emit)(void *ctx, struct str key), void *ctx);

struct shdict_stats {
	uint64_t capacity; /* bytes for entries */
	uint64_t free;
	uint64_t count; /* expired ones that are still there included */
	uint64_t evicted;
	uint64_t expired;
	uint64_t repairs;
};
void shdict_stats(const struct shdict *d, struct shdict_stats *out);
