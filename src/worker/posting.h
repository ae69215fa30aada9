/* Tasks on their way through the System V queue (task_ipc_mode 2 and 3): put there by the process that asks, until a task worker says that it
 * has one.
 *
 * The kernel does not tell who took a message.  A task worker notes on its board what it has taken, and says so before it begins.  It
 * may die before either; so when one dies, a probe is put into the queue behind everything else.  Messages of a lane leave in
 * their order, so once the probe has been taken, what stood before it and nobody has spoken of is lost, and is reported.
 */
#pragma once

#include "worker/colleague.h"

struct lane;
struct order;
struct orders;
struct posting;

/* NULL: tasks go directly. */
struct posting *posting_new(struct orders *o);
void posting_free(struct posting *p);

/* Puts a task that waits into the queue.  -EAGAIN: the queue is full; others: it cannot be, which the log tells. */
int posting_put(struct posting *p, struct order *t);
/* It is dropped, or a task worker has it. */
void posting_leave(struct order *t);
/* Those that no task worker is known to have. */
size_t posting_count(const struct posting *p);

/* From colleagues. */
int posting_on_taken(struct posting *p, struct colleague *c, const struct frame *f);
int posting_on_probed(struct posting *p, const struct frame *f);
/* One has ended; `how`, in words. */
void posting_on_gone(struct posting *p, struct colleague *c, const char *how);
/* The slot of a task worker (queue index), or all of them have failed: what is there for it fails. */
void posting_on_failed(struct posting *p, unsigned index, bool all);
