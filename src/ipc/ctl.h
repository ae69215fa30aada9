/* Control messages: what master, manager, workers and evaluators tell each other over SEQPACKET sockets.
 *
 * Each type has a row in ctl.def: who may send it, how many descriptors it carries, how long its text may
 * be. A message that breaks its row is -EPROTO, and whoever received it closes the socket.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum ctl_role {
	CTL_ROLE_CLI = 1,
	CTL_ROLE_MASTER = 2,
	CTL_ROLE_MANAGER = 4,
	CTL_ROLE_WORKER = 8,
	CTL_ROLE_EVAL = 16,
	CTL_ROLE_SUPER = CTL_ROLE_MASTER | CTL_ROLE_MANAGER, /* whoever supervises in this mode */
	CTL_ROLE_ANY = 31,
};

enum ctl_type {
	CTL_NONE,
#define CTL(senders, name, ...) CTL_##name,
#include "ipc/ctl.def"
#undef CTL
	CTL_TYPES,
};

enum { CTL_FDS_MAX = 64, CTL_TEXT_MAX = 65536 };

struct ctl_msg {
	uint32_t type;
	uint32_t slot;
	uint64_t generation;
	uint64_t value;
	uint64_t extra;
	struct str text; /* received: lent until this thread receives again */
	int n_fds;
	int fds[CTL_FDS_MAX]; /* received: the receiver's; ctl_take_fd() and ctl_close_fds() */
};

/* "READY"; "?" for a number that is none. */
const char *ctl_name(unsigned type);

/* Sends one message; its descriptors stay the caller's. Waits up to a second while the peer's queue is
 * full, then -EAGAIN: such a peer does not live. -EPIPE and -ECONNRESET: it has gone. */
int ctl_send(int fd, const struct ctl_msg *m);

/* Receives one message that a peer of roles `from` may send. 1: `m` holds it; 0: end of file; -EAGAIN;
 * -EPROTO: it broke its row, its descriptors are closed. */
int ctl_recv(int fd, unsigned from, struct ctl_msg *m);

/* Any number of descriptors, in as many messages as it takes; value: the index of the first of each. */
int ctl_send_fds(int fd, enum ctl_type type, const int *fds, unsigned n);

/* What ctl_recv() checks, over bytes that came with `n_fds` descriptors: 0 with `m` filled (not m->fds), or
 * -EPROTO. */
int ctl_parse(struct str bytes, int n_fds, unsigned from, struct ctl_msg *m);

/* Descriptor `i`, which is the caller's from now on. */
int ctl_take_fd(struct ctl_msg *m, int i);
/* Those of one message of ctl_send_fds(): behind the `*n` that came before.  -EPROTO: they do not fit there, or are more than
 * `max`. */
int ctl_take_fds(struct ctl_msg *m, int *to, unsigned *n, unsigned max);
/* Closes those that were not taken. */
void ctl_close_fds(struct ctl_msg *m);

/* Version of this program and of its tables: two processes that differ in it do not understand each other. */
const char *ctl_build_id(void);
