/* The workers of base mode among each other: each has an inbox of datagrams, and a link to the reactors of every other process.
 *
 * What is sent to a slot goes to all its processes, of which there are two while a reload rolls; whoever has the connection acts.
 * Order is kept from one process to another.  One thread.
 */
#pragma once

#include "ipc/link.h"
#include "loop/loop.h"

struct mesh;

struct mesh_opts {
	struct loop *loop;
	unsigned slot;
	uint64_t generation;
	uint64_t backlog_max; /* bytes that may wait for one process */
	size_t whole_max;     /* longest payload taken */
	/* A frame for the reactor here; `back` leads to the process that sent it (NULL: it is not known, or gone).  Negative: it broke the
	 * rules. */
	int (*on_up)(void *ctx, struct link *back, const struct frame *f, struct str payload);
	/* A frame for the worker here. */
	int (*on_down)(void *ctx, const struct frame *f, struct str payload);
	/* The way to a slot, which was not there before. */
	void (*on_lane)(void *ctx, unsigned slot, struct link *lane);
	void *ctx;
};

struct mesh *mesh_new(const struct mesh_opts *o);
/* Where frames arrive; taken.  0 or negative errno. */
int mesh_listen(struct mesh *m, int inbox);
/* Another process, and the descriptor that leads to its inbox, taken. */
void mesh_add(struct mesh *m, unsigned slot, uint64_t generation, int fd);
/* Calls on_lane again for every lane there is. */
void mesh_tell_lanes(struct mesh *m);
void mesh_remove(struct mesh *m, unsigned slot, uint64_t generation);
/* NULL is ignored.  Lanes are void. */
void mesh_free(struct mesh *m);
