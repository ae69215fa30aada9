/* A table in shared memory: a fixed number of rows with a key and columns, found by hash.
 *
 * Every row that was promised is there: the rows stand in an array, buckets chain them, and however keys fall into buckets
 * only a table that holds `rows` rows is full.
 *
 * Reading takes no lock.  A row has two copies of its data and a version whose lowest bit says which copy holds; a writer
 * fills the other one and then counts the version up.  So a reader never waits for a writer, not even for one that died in
 * the middle: it reads again only if a whole write, or a row leaving its chain (bucket.moves), came in between.
 *
 * Writing locks the bucket (shlock.h).  What a death may leave behind:
 * - data that was not yet declared valid: nobody sees it;
 * - a row on its way between chain and free list: it stands in bucket.pending, and whoever inherits the bucket's lock puts
 *   it where it belongs.  Invariant: a row is in the chain of one bucket, or in the free list, or pending of a locked bucket;
 *   table.intent says under the lock of the free list which of the last two if the death was just between them.
 * Indexes are from 1, and bounded whenever they are read.
 */
#pragma once

#include "base/str.h"
#include "ipc/shlock.h"

#include <stdbool.h>

enum { SHTABLE_KEY_MAX = 64, SHTABLE_ROWS_MAX = 1 << 28, SHTABLE_DATA_MAX = 1 << 16 };

struct shtable_row {
	_Atomic uint32_t next;
	_Atomic uint32_t live; /* bucket + 1; 0: not in a chain */
	_Atomic uint64_t version;
	_Atomic uint32_t key_len;
	_Atomic uint32_t hash;
	char key[SHTABLE_KEY_MAX];
	char data[]; /* two copies */
};

struct shtable_bucket {
	struct shlock lock;
	_Atomic uint32_t moves; /* rows that left the chain */
	_Atomic uint32_t first;
	_Atomic uint32_t pending;
};

enum shtable_move { SHTABLE_REST, SHTABLE_POP, SHTABLE_PUSH };

/* Between the segment's head and the buckets. */
struct shtable_area {
	struct segment_head head;
	struct shlock lock;      /* of what follows; taken inside of a bucket's */
	_Atomic uint32_t free;   /* the first free row that was used before */
	_Atomic uint32_t virgin; /* rows that were ever used */
	_Atomic uint32_t count;
	struct {
		_Atomic uint32_t move; /* enum shtable_move; the other fields hold while it is not REST */
		_Atomic uint32_t row;
		_Atomic uint32_t bucket;
		_Atomic uint32_t count; /* before */
	} intent;
	char unused[32];
};

struct shtable {
	struct segment segment;
	struct shtable_area *area;
	struct shtable_bucket *buckets;
	char *rows_at;
	uint32_t mask; /* buckets - 1 */
	uint32_t rows;
	uint32_t data_size; /* of one copy, a multiple of 8 */
	char *scratch;      /* [data_size], the caller's */
	uint64_t swept_ms;  /* when it was last full and looked for what the dead had in hand */
};

enum shtable_how { SHTABLE_SET, SHTABLE_ADD, SHTABLE_UPDATE };

/* The size of the segment. */
uint64_t shtable_bytes(uint32_t rows, uint32_t data_size);
/* The segment is open and has so many bytes; `scratch` has room for one row's data. */
void shtable_init(struct shtable *t, uint32_t rows, uint32_t data_size, char *scratch);

/* Keys have 1 to SHTABLE_KEY_MAX bytes: -EINVAL.  All: -ETIMEDOUT: somebody holds a lock and stands still; -EBADMSG: the
 * memory was damaged. */

/* Copies the row's data to `out`.  -ENOENT. */
int shtable_get(struct shtable *t, struct str key, char *out);
/* edit(ctx, data) changes a copy of the row's data (zeroes if it is new), which then is the row, at once.  0, or what edit returned
 * if that is negative and nothing changes; -EEXIST (ADD), -ENOENT (UPDATE), -ENOSPC: all rows are in use. */
int shtable_write(struct shtable *t, struct str key, enum shtable_how how, int (*edit)(void *ctx, char *data),
                  void *ctx);
/* -ENOENT.  `out` NULL, or the data it had. */
int shtable_del(struct shtable *t, struct str key, char *out);
uint32_t shtable_count(const struct shtable *t);
/* The first row from number *cursor on (0 to begin with), whole; moves the cursor behind it.  Its key's length, or 0: no more. Rows that
 * come and go meanwhile may be met or not. */
size_t shtable_next(struct shtable *t, uint32_t *cursor, char key[SHTABLE_KEY_MAX], char *out);
