/* Blocks, entries and shards of a dict; for shdict*.c. */
#pragma once

#include "base/bits.h"
#include "ipc/shdict.h"

enum { BLOCK = 64, ENTRY_INLINE = 12, NODE_INLINE = 36, REST_INLINE = 60 };

/* The head of an entry: its bytes are key and value, and go on in the blocks from `rest` on. */
struct shdict_entry {
	uint32_t rest;
	uint32_t chain; /* next of its bucket */
	uint32_t newer;
	uint32_t older;
	uint64_t expires_ms; /* monotonic; 0: never */
	union {
		double number;
		struct {
			uint32_t first; /* node of a list */
			uint32_t last;
		};
	};
	uint32_t hash;
	uint32_t value_len; /* of a list: nodes */
	uint16_t key_len;
	uint8_t kind;
	uint8_t unused;
	uint32_t epoch; /* another one than the shard's: flushed */
	uint32_t flags;
	char bytes[ENTRY_INLINE];
};

/* The head of a list's item.  Only `next` counts; `previous` is made anew at a repair. */
struct shdict_node {
	uint32_t rest;
	uint32_t next;
	uint32_t previous;
	uint32_t len;
	uint8_t kind;
	uint8_t unused[3];
	char number[8];
	char bytes[NODE_INLINE];
};

struct shdict_block {
	union {
		struct shdict_entry entry;
		struct shdict_node node;
		struct {
			uint32_t rest; /* also: the next free one */
			char bytes[REST_INLINE];
		};
	};
};

_Static_assert(sizeof(struct shdict_entry) == BLOCK && sizeof(struct shdict_node) == BLOCK, "a head is one block");
_Static_assert(sizeof(struct shdict_block) == BLOCK, "blocks are packed");

struct shdict_shard {
	struct shlock lock;
	uint32_t broken; /* to be repaired by the next one */
	uint32_t free;
	uint32_t virgin; /* blocks that were ever used */
	uint32_t used;   /* blocks in use */
	uint32_t newest;
	uint32_t oldest;
	uint32_t count;
	uint32_t epoch;
	uint32_t unused;
	uint64_t evicted;
	uint64_t expired;
	uint64_t repairs;
	char padding[64];
};

_Static_assert(sizeof(struct shdict_shard) == 128, "shards share no cache line");

/* One shard, locked. */
struct shdict_in {
	struct shdict *d;
	struct shdict_shard *shard;
	uint32_t *buckets;
	struct shdict_block *blocks;
};

/* A store that counts: all before it is in the memory by then, nothing behind it is. */
static inline void shdict_commit(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
	atomic_signal_fence(memory_order_seq_cst);
}

/* The block of that number, from 1. */
static inline struct shdict_block *shdict_at(struct shdict_in *in, uint32_t number)
{
	if (number - 1 < in->d->blocks)
		return &in->blocks[number - 1];
	in->d->trapped = true;
	return in->d->trap;
}

/* Blocks for so many bytes, of which `first` fit into the head. */
static inline uint64_t shdict_blocks_for(uint64_t len, unsigned first)
{
	return len <= first ? 1 : 1 + (len - first + REST_INLINE - 1) / REST_INLINE;
}

static inline uint64_t shdict_entry_bytes(const struct shdict_entry *e)
{
	return e->key_len + (e->kind == SHDICT_LIST ? 0 : (uint64_t)e->value_len);
}

/* Locks the shard of that number, repaired if need be; shdict_leave() unlocks it. */
int shdict_enter(struct shdict *d, uint32_t shard, struct shdict_in *in);
void shdict_leave(struct shdict_in *in);
/* shdict_repair.c.  -ENOMEM: it stays broken. */
int shdict_repair(struct shdict_in *in);

/* A chain of `n` blocks, linked by `rest`; the first one's number.  There must be so many. */
uint32_t shdict_take(struct shdict_in *in, uint64_t n);
void shdict_give(struct shdict_in *in, uint32_t first, uint64_t n);
static inline uint32_t shdict_room(const struct shdict_in *in)
{
	return in->d->blocks - LS_MIN(in->shard->used, in->d->blocks);
}

/* Bytes into, or out of, a chain whose head has `room` bytes at `head`, from byte `at` on. */
void shdict_write(struct shdict_in *in, char *head, unsigned room, uint32_t rest, uint64_t at, struct str bytes);
void shdict_read(struct shdict_in *in, const char *head, unsigned room, uint32_t rest, uint64_t at, char *out,
                 size_t len);

void shdict_link_newest(struct shdict_in *in, uint32_t number);
void shdict_unlink_use(struct shdict_in *in, uint32_t number);
bool shdict_expired(const struct shdict_in *in, const struct shdict_entry *e);
/* Out of its chain, where *from leads to it, and its blocks are free. */
void shdict_drop(struct shdict_in *in, uint32_t *from, uint32_t number);
/* The same, found by its hash. */
void shdict_evict(struct shdict_in *in, uint32_t number);
/* Makes room for `n` blocks, sparing the entry `spared`; *evicted: how many that had not expired had to go. -ENOSPC. */
int shdict_make_room(struct shdict_in *in, uint64_t n, bool safe, uint32_t spared, unsigned *evicted);
/* A buffer of d of that size at least, or NULL. */
char *shdict_buffer(struct shdict *d, size_t size);

/* An entry's place: *from leads to it.  0: there is none. */
struct shdict_probe {
	struct str key;
	uint32_t hash;
	uint32_t number;
	uint32_t *from;
};
/* Locks the key's shard and looks for it.  -EINVAL. */
int shdict_find(struct shdict *d, struct str key, struct shdict_in *in, struct shdict_probe *p);
/* Writes a new entry and puts it in the place of the probe's. */
int shdict_store(struct shdict_in *in, struct shdict_probe *p, const struct shdict_value *value, bool safe,
                 uint64_t ttl_ms, unsigned *evicted);
