/* The other processes of this server that run the app, as this one knows them: the way to each, its counters, and how far it
 * has come with what was sent to it.
 *
 * Tasks and messages are numbered for each receiver, and kept until it has begun them, which it notes on its board.  So when
 * a process dies, what it never began goes to another one, and nothing is begun twice.
 */
#pragma once

#include "base/list.h"
#include "conf/crew.h"
#include "ipc/board.h"
#include "ipc/link.h"
#include "sys/shm.h"

struct worker;

struct colleague {
	struct list link; /* worker.colleagues */
	struct worker *worker;
	unsigned slot;
	uint64_t generation;
	enum crew_kind kind;
	struct link *line; /* lent by whoever introduced it */
	struct shm map;
	const struct board_worker *board;
	bool greeted; /* it has said HELLO: it knows us, too */
	int mark;     /* our place on its board, once it was found; -1 */
	int noted;    /* its place on our board; -1: none yet */
	bool unnoted; /* there is no room for it */
	/* Tasks that it was given and that have not ended (worker/orders.c). */
	struct list orders;
	uint64_t orders_sent;
	unsigned n_orders;
	unsigned window; /* how many it should have at a time */
	size_t order_bytes;
	/* Messages that it may not have begun (worker/messages.c). */
	struct list messages;
	uint64_t messages_sent;
};

/* Tells all of them that this process takes tasks and messages. */
void colleague_greet_all(struct worker *w);
/* NULL: its board cannot be read, which is told in the log. */
struct colleague *colleague_meet(struct worker *w, unsigned slot, uint64_t generation, struct link *line, int board_fd);
/* It has ended: its place on our board is free. */
void colleague_forget(struct colleague *c);
/* What is noted of it stays on our board: when we end, others still look how far we came. */
void colleague_free(struct colleague *c);
/* NULL: there is none, or it is gone. */
struct colleague *colleague_find(struct worker *w, unsigned slot, uint64_t generation);
/* The process of a slot that takes what is sent to the slot: the newest that is ready, else one that is leaving.  NULL: there is none. */
struct colleague *colleague_of_slot(struct worker *w, unsigned slot);
/* It takes tasks and messages: it has loaded the app, is not leaving, and knows this process. */
bool colleague_is_ready(const struct colleague *c);

/* Up to which number it has begun what we sent. */
uint64_t colleague_begun(struct colleague *c, enum board_stream stream);
/* We begin its number `number`. */
void colleague_begin(struct colleague *c, enum board_stream stream, uint64_t number);
