/* A segment of shared memory that several processes write: tables, dicts, atomics and locks of the app lie in one each.
 *
 * A segment begins as zero bytes, and zero bytes are an empty structure: so whoever comes first has nothing to set up that
 * could be left half done.  Its layout follows from its declaration, which every process knows; what stands in the segment
 * is not believed: every offset is bounded before it is used.
 *
 * Each process that opens a segment becomes a member, with a number that is used once in the life of the segment.  Its own
 * open file description holds a lock on the byte of that number in the file, which the kernel drops when the process ends,
 * however it ends.  So a number found in a lock word tells whether its owner lives, and never means a stranger.
 */
#pragma once

#include "sys/shm.h"

#include <stdatomic.h>

enum { SEGMENT_HEAD = 64, SEGMENT_MEMBER_MAX = (1 << 30) - 1 };

/* The first bytes of every segment. */
struct segment_head {
	_Atomic uint64_t seed; /* 0: nobody has hashed yet */
	_Atomic uint32_t last_member;
	uint32_t unused[SEGMENT_HEAD / 4 - 3];
};

struct segment {
	struct shm map;
	int fd;        /* of its own; -1: private memory */
	uint32_t self; /* this process's number, from 1 */
	uint64_t seed; /* of hashes, the same for all members; clients cannot guess it */
};

/* Maps the sealed memfd, which stays the caller's.  -EINVAL: it has not `bytes` bytes. */
int segment_open(struct segment *s, int fd, size_t bytes);
/* Zeroed memory of this process alone, in which everything works and nothing is shared. */
int segment_private(struct segment *s, size_t bytes);
/* Ends the membership. */
void segment_close(struct segment *s);
/* Whether a member still runs. */
bool segment_lives(const struct segment *s, uint32_t member);

/* The caller has bounded `offset`. */
static inline void *segment_at(const struct segment *s, size_t offset)
{
	return (char *)s->map.p + offset;
}
