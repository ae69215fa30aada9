/* The listening sockets of all ports. The keeper holds them for as long as the server runs, so that no
 * accept queue is lost when a worker leaves.
 *
 * One set (process and single mode), or one for each worker slot (base mode), where the kernel spreads
 * connections over the slots; unix sockets, and those that were handed over, are shared by all slots.
 */
#pragma once

#include "conf/settings.h"
#include "sys/activation.h"

#include <stdbool.h>

struct ports {
	struct settings *settings;
	unsigned n; /* ports */
	unsigned sets;
	bool per_slot;
	int *fds;                 /* [sets][n]; -1: closed or shared with the first set */
	struct activation *given; /* sockets that were handed over; NULL: none */
	uint64_t inherited;       /* bits: ports that use one of those, which all slots share */
};

/* Binds everything that `given` does not hold, and fills settings->ports[].address. 0 or negative with a sentence; nothing is then
 * open. */
int ports_open(struct ports *p, struct settings *s, bool per_slot, struct activation *given, struct err *err);
/* The socket of a port in a set; shared ones are in all. */
int ports_fd(const struct ports *p, unsigned set, unsigned port);
/* A slot without a process must not get connections: its own sockets are closed, and bound again when it is
 * tried anew. */
void ports_close_set(struct ports *p, unsigned set);
int ports_reopen_set(struct ports *p, unsigned set, struct err *err);
/* Closes all, and removes unix sockets from the file system when `unlink_paths`. */
void ports_close(struct ports *p, bool unlink_paths);
