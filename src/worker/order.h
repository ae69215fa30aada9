/* What orders.c and posting.c share: one task that was asked for, and all of them. */
#pragma once

#include "base/map.h"
#include "worker/orders.h"
#include "worker/posting.h"

struct order {
	struct list link; /* a queue, lane.orders, or at->orders */
	struct orders *all;
	struct colleague *at; /* NULL: it waits */
	uint64_t id;
	uint64_t number; /* among those that were sent there, or put into the System V queue */
	uint64_t sent_ns;
	int slot; /* -1: any */
	unsigned tries;
	bool settled;      /* its client knows the end already */
	struct lane *lane; /* NULL: it is not in the System V queue */
	struct order_client client;
	struct timer deadline;
	enum pack_form form;
	size_t len;
	char data[];
};

struct orders {
	struct worker *worker;
	struct map by_id;
	struct list *queues; /* those that wait: for each task worker, at last for any of them */
	unsigned n_queues;
	bool *failed; /* [n_queues]: that slot has failed; at last: all have */
	size_t bytes;
	uint64_t next_id;
	struct timer retry;
	struct posting *posting; /* NULL: tasks go directly */
};

void order_drop(struct order *t);
/* Tells its client. */
void order_fail(struct order *t, int code, const char *text);
/* A task worker that had it has gone, or may have: it waits once more, or its client is told. */
void order_lose(struct order *t, const char *how);
