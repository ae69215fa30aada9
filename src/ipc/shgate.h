/* What stands behind luaserv.lock: a mutex, a read-write lock, a spin lock or a semaphore that processes hold.
 *
 * One word for each process that holds it or waits for it: its member number, how much it holds, how many of its own wait.
 * A word changes in one store, under a guard (shlock.h), so every state of the table is valid and the death of a process
 * leaves nothing to repair: its words are taken out by the first one that they are in the way of.
 *
 * Who holds is the process, not a coroutine: two coroutines of one process exclude each other, and either may unlock.
 */
#pragma once

#include "ipc/shlock.h"

#include <stdbool.h>

enum shgate_kind { SHGATE_MUTEX, SHGATE_RWLOCK, SHGATE_SPIN, SHGATE_SEM, SHGATE_KINDS };
/* Others than a rwlock know one way only, SHGATE_WRITE; of a semaphore that is one permit. */
enum shgate_way { SHGATE_WRITE, SHGATE_READ };

enum { SHGATE_HOLDERS = 2048, SHGATE_HELD_MAX = 0xfffe, SHGATE_INHERITED = SHLOCK_INHERITED };

/* The content of the segment. */
struct shgate_area {
	struct segment_head head;
	struct shlock guard;
	_Atomic uint32_t turn; /* changes when something is given back; waiters sleep on it */
	_Atomic uint32_t died; /* an exclusive holder did, and nobody was told */
	_Atomic uint32_t used; /* holders that were ever in use */
	_Atomic uint64_t holders[SHGATE_HOLDERS];
};

struct shgate {
	struct segment segment;
	struct shgate_area *area;
	enum shgate_kind kind;
	unsigned permits; /* SHGATE_SEM */
};

/* "mutex", "rwlock", "spin", "sem"; -1: none of these. */
int shgate_kind_find(const char *name);
const char *shgate_kind_name(enum shgate_kind kind);

/* Takes it if it is free.  0; SHGATE_INHERITED: so too, and its last exclusive holder died with it; -EAGAIN: it is held;
 * -ENOSPC: too many processes hold it; -EOVERFLOW: this process holds it too many times; -ETIMEDOUT: see shlock_lock(). */
int shgate_try(struct shgate *g, enum shgate_way way);
/* Sleeps until it gets it; so long at most, then -ETIMEDOUT. */
int shgate_wait(struct shgate *g, enum shgate_way way, uint64_t timeout_ms);
/* Between these two a process that wants to write keeps new readers out.  They count. */
int shgate_want(struct shgate *g);
void shgate_unwant(struct shgate *g);
/* Gives back what it took: writing, one reader's share, a permit.  -EPERM: this process does not hold it. */
int shgate_release(struct shgate *g);
/* How many times it is held: 1 by a writer, else readers, or permits that are out. */
int shgate_count(struct shgate *g);
