/* The tasks of a scheduler: those that live, found by id, and some that have ended, kept with their coroutines for the
 * next. */
#pragma once

#include "lua/sched.h"

struct roster_slot;

struct roster {
	lua_State *L;    /* a coroutine that never runs, where values are built */
	int foreign_ref; /* weak set of coroutines that coroutine.resume refuses: every task's is put in */
	unsigned max;
	unsigned alive;
	struct list pool;
	unsigned pooled;
	struct roster_slot *slots;
	uint32_t n_slots;
	uint32_t free_slot;
	unsigned id_bits; /* of an id, that name the slot */
};

void roster_init(struct roster *r, lua_State *L, int foreign_ref, unsigned max);
/* No task is alive any more. */
void roster_fini(struct roster *r);
/* A task with a coroutine and an id; NULL: `max` are alive.  task->sched is NULL if it was never used before. */
struct task *roster_take(struct roster *r);
/* Takes back a task whose coroutine has ended well or was renewed; to be kept, or (`keep` false) freed. */
void roster_give(struct roster *r, struct task *t, bool keep);
/* A coroutine that died or was given up is made, or replaced by, one that can run. */
void roster_renew(struct roster *r, struct task *t);
struct task *roster_find(const struct roster *r, uint64_t id);
/* The live task at or behind `*cursor` (start with 0), which it moves on; NULL at the end. */
struct task *roster_next(const struct roster *r, uint32_t *cursor);
