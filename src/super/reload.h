/* A reload: evaluate, compare, try one worker, roll the slots, commit; any failure leaves the old fleet as
 * it was. Part of the supervisor; one at a time, further requests are remembered once.
 */
#pragma once

#include "super/evaluate.h"
#include "super/slot.h"

enum reload_state { RELOAD_IDLE, RELOAD_EVAL, RELOAD_CANARY, RELOAD_ROLL, RELOAD_UNROLL, RELOAD_COMMIT };

enum { RELOAD_WAITERS_MAX = 32, RELOAD_TRIES = 3, RELOAD_DRAINING_MAX = 2 };

struct reload {
	struct super *super;
	enum reload_state state;
	struct evaluate *evaluate;
	struct release *candidate;
	bool tasks_only;                   /* workers stay as they are */
	bool later_tasks_only;             /* so does the next one */
	unsigned cursor;                   /* the slot that is being rolled */
	unsigned tries;                    /* of that slot */
	bool parked;                       /* it has too many older processes: wait until one has left */
	uint64_t tags[RELOAD_WAITERS_MAX]; /* whom to answer */
	unsigned n_tags;
	uint64_t later[RELOAD_WAITERS_MAX]; /* whom to answer after the next one */
	unsigned n_later;
	struct err err; /* why it is being undone */
};

void reload_init(struct reload *r, struct super *super);
/* tag 0: nobody waits, the log tells.  `tasks_only`: only task workers are replaced. */
void reload_request(struct reload *r, uint64_t tag, bool tasks_only);
/* The server stops: everybody gets an error. */
void reload_cancel(struct reload *r, const char *why);
void reload_news(struct reload *r, struct slot *slot, enum slot_news news, const char *text);
void reload_committed(struct reload *r);
