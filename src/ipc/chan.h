/* The shared memory between the master's reactors and one worker process: one channel per worker slot and generation.
 *
 *   shared.memfd  written by the master, one for all workers: struct board_reactor[reactors]
 *   down.memfd    written by the master:  for each reactor: ring_head, ring_tail of the way up, data of the way down
 *   up.memfd      written by the worker:  struct board_worker, then for each reactor: ring_head, ring_tail, data of the way up
 *   bell          eventfd the worker sleeps on; each reactor has one of its own, which every worker may ring
 *
 * Every segment is sealed against changes of size, and against new writers once its writer has mapped it.  In base mode
 * there are no rings (reactors = 0) and only up.memfd carries anything.
 */
#pragma once

#include "base/err.h"
#include "ipc/board.h"
#include "ipc/ring.h"
#include "sys/shm.h"

#include <stdbool.h>

enum { CHAN_FDS = 3 };

/* Descriptors as the keeper holds and sends them, in this order. */
struct chan_fds {
	int down;
	int up;
	int bell;
};

struct chan {
	struct shm down;
	struct shm up;
	unsigned reactors;
	uint32_t ring_size;
	bool worker_side;
	int bell; /* borrowed from chan_fds */
};

/* Makes the three descriptors of a new generation.  0 or negative errno. */
int chan_create(unsigned reactors, uint32_t ring_size, struct chan_fds *out, struct err *err);
void chan_fds_close(struct chan_fds *fds);

/* Maps the master's side: down writable (and sealed from then on); up must wait for chan_map_up(). */
int chan_open_master(struct chan *c, const struct chan_fds *fds, unsigned reactors, uint32_t ring_size,
                     struct err *err);
/* After the worker said READY: maps up read-only.  -EPERM if the worker did not seal it. */
int chan_map_up(struct chan *c, const struct chan_fds *fds, struct err *err);
/* Maps the worker's side: up writable (and sealed from then on), down read-only. */
int chan_open_worker(struct chan *c, const struct chan_fds *fds, unsigned reactors, uint32_t ring_size,
                     struct err *err);
/* For the manager, which only reads the board: maps up read-only. */
int chan_open_board(struct chan *c, int up_fd, struct err *err);
void chan_close(struct chan *c);

/* The worker's board block, writable on the worker's side only. */
struct board_worker *chan_board(const struct chan *c);

/* Master: the ring to this worker, and the one from it.  Worker: the ring from that reactor, and the one to it. */
struct ring_tx chan_tx(const struct chan *c, unsigned reactor);
struct ring_rx chan_rx(const struct chan *c, unsigned reactor);

/* The master's shared segment.  Descriptor or negative errno. */
int chan_shared_create(unsigned reactors);
/* Maps it; the master's mapping is writable and seals it. */
int chan_shared_map(int fd, bool master, struct shm *out);
/* Block of reactor `r`. */
struct board_reactor *chan_shared_board(const struct shm *m, unsigned r);
