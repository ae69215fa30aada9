/* The processes that run the app among each other: each has an inbox of datagrams, and a link to every other one.
 *
 * For tasks and messages a process is spoken to by itself.  In base mode there are lanes, too, to the reactors of a worker slot: what
 * is sent on one goes to all processes of the slot, of which there are two while a reload rolls; whoever has the connection acts.
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
	unsigned lanes;       /* slots below have reactors: base mode's workers */
	/* A frame for the reactor here; `back` leads to the process that sent it (NULL: it is not known, or gone).  Negative: it broke the
	 * rules. */
	int (*on_up)(void *ctx, struct link *back, const struct frame *f, struct str payload);
	/* A frame for the worker here. */
	int (*on_down)(void *ctx, const struct frame *f, struct str payload);
	/* The way to a slot, which was not there before. */
	void (*on_lane)(void *ctx, unsigned slot, struct link *lane);
	/* Another process: the way to it, lent until on_gone, and its board, taken. */
	void (*on_peer)(void *ctx, unsigned slot, uint64_t generation, struct link *line, int board_fd);
	/* It has ended, and all it sent has been handed on. */
	void (*on_gone)(void *ctx, unsigned slot, uint64_t generation, pid_t pid, int status);
	/* A frame of the app's own affairs from it.  Negative: it broke the rules. */
	int (*on_side)(void *ctx, unsigned slot, uint64_t generation, const struct frame *f, struct str payload);
	void *ctx;
};

struct mesh *mesh_new(const struct mesh_opts *o);
/* Where frames arrive; taken.  0 or negative errno. */
int mesh_listen(struct mesh *m, int inbox);
/* Another process, the descriptor that leads to its inbox, and that of its board; both are taken. */
void mesh_add(struct mesh *m, unsigned slot, uint64_t generation, int fd, int board_fd);
/* Calls on_lane again for every lane there is. */
void mesh_tell_lanes(struct mesh *m);
/* It has ended; what it sent before is handed on first. */
void mesh_remove(struct mesh *m, unsigned slot, uint64_t generation, pid_t pid, int status);
/* NULL is ignored.  Lanes are void. */
void mesh_free(struct mesh *m);
