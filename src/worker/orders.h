/* The tasks that this process has asked for: those that wait for a task worker, and those that are at one.
 *
 * A task goes to the task worker with least to do, and only so many go to one at a time that it always has some: the rest waits
 * here, for whoever is free first.  When a task worker dies, what it had not begun goes to another one; what it had begun is
 * tried again (task_retry) or reported.  Every task ends exactly once: by its last result, or by a failure that is told.
 */
#pragma once

#include "base/list.h"
#include "loop/timer.h"
#include "lua/pack.h"
#include "worker/colleague.h"

struct orders;

/* What became of a task that has no result. */
struct order_failure {
	int code;
	int worker; /* slot of the task worker; -1: none had it */
	pid_t pid;  /* 0: not known */
	const char *text;
};

/* Who asked. */
struct order_client {
	/* A result came, or (`failure`) the task has failed; neither: it has ended without a further result.  `last`: nothing
	 * follows, and the client is forgotten. */
	void (*tell)(const struct order_client *c, struct worker *w, uint64_t id, const struct packed *result,
	             const struct order_failure *failure, bool last);
	void *ctx;
	unsigned place; /* the client's */
	int ref;        /* the client's, such as a callback */
};

struct orders *orders_new(struct worker *w);
/* Whoever still waits is not told. */
void orders_free(struct orders *o);
/* How many have not ended. */
size_t orders_count(const struct orders *o);
/* Of those, how many stand in a queue that outlives the server, with no task worker that has them. */
size_t orders_lasting(const struct orders *o);

/* One more task, for the task worker of `slot`, or -1: any.  `timeout_ms` 0: none.  0 and its number, or the code of why not. */
int orders_give(struct orders *o, const struct packed *data, int slot, uint64_t timeout_ms,
                const struct order_client *client, uint64_t *id);
/* Nobody wants to know of it any more. */
void orders_forget(struct orders *o, uint64_t id);

/* From colleagues. */
int orders_on_result(struct orders *o, struct colleague *c, const struct frame *f, struct str payload);
int orders_on_failed(struct orders *o, struct colleague *c, const struct frame *f, struct str payload);
int orders_on_taken(struct orders *o, struct colleague *c, const struct frame *f);
int orders_on_probed(struct orders *o, const struct frame *f);
/* One has begun to take tasks. */
void orders_on_ready(struct orders *o);
/* The slot of a task worker has failed and gets no process, or is tried again: what waits for it, or for any when all have failed, fails. */
void orders_on_slot(struct orders *o, unsigned slot, bool failed);
/* One has ended and is none of the worker's colleagues any more; `how`, in words. */
void orders_on_gone(struct orders *o, struct colleague *c, const char *how);
