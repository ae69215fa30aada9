/* The keeper makes the processes that run the app known to each other (role/mesh.h). */
#pragma once

#include "role/keeper.h"

/* Gives a new process its inbox and the way to those that live, and them the way to it.  `control` is our end of its control socket.
 * 0 or negative errno. */
int peers_introduce(struct keeper *k, struct keeper_gen *g, int control);
/* It has ended, with that status of waitpid. */
void peers_forget(struct keeper *k, const struct keeper_gen *g, int status);

/* A slot has failed, or is tried again. */
void peers_tell_state(struct keeper *k, unsigned slot, bool failed);

/* Text of PEERS: one for each pair of descriptors. */
struct peers_entry {
	uint32_t slot;
	uint32_t unused;
	uint64_t generation;
};
