/* The keeper: holds every descriptor that must outlive a child, in the master. Listening sockets, shared
 * memory and control sockets of each worker process, releases. So a manager, or a worker, can die and be
 * replaced while connections live on.
 *
 * In process mode it also tells the reactors of processes that come and go. The master's main thread.
 */
#pragma once

#include "ipc/chan.h"
#include "ipc/ctl.h"
#include "loop/post.h"
#include "reactor/reactor.h"
#include "role/ports.h"
#include "role/taskbox.h"
#include "role/vault.h"
#include "super/release.h"
#include "sys/spawn.h"

/* One worker process, from the moment its descriptors are made until nobody needs them any more. */
struct keeper_gen {
	struct list link;
	struct keeper *keeper;
	unsigned slot;
	uint64_t generation;
	uint64_t epoch;
	struct chan_fds fds;
	struct chan chan;   /* process mode: the rings, used by the reactors */
	struct chan board;  /* its counters, read-only */
	int control;        /* our copy of the supervisor's end */
	int inbox;          /* to write to, for its peers; -1: none */
	struct child child; /* pid 0: not spawned yet */
	bool attached;      /* the reactors were told of it */
	bool ended;         /* reaped by us; `status` holds how */
	int status;
};

struct keeper_slot {
	bool failed;       /* it is left empty */
	int status;        /* of waitpid: how its last process ended */
	uint64_t restarts; /* after deaths nobody wanted */
	struct release
		*release; /* what its processes run; another than the server's after a reload of task workers alone */
};

/* Counters of processes that are gone (base mode, where the counters of connections die with the process). */
struct keeper_totals {
	uint64_t accepted;
	uint64_t closed;
	uint64_t refused;
	uint64_t refused_address;
	uint64_t proxy_refused;
	uint64_t limited;
	uint64_t published;
	uint64_t publish_skipped;
	uint64_t requests;
	uint64_t packets;
	uint64_t packets_dropped;
};

struct keeper_opts {
	struct loop *loop;
	struct mailbox *mailbox; /* of that loop */
	struct release *release; /* a reference is taken */
	struct ports *ports;
	const struct taskbox *taskbox;
	unsigned reactors; /* 0: base mode */
	int access_log;    /* -1: none */
	/* Every reactor uses the process. */
	void (*on_attached)(void *ctx, unsigned slot, uint64_t generation);
	/* Every reactor uses the new settings. */
	void (*on_committed)(void *ctx);
	void *ctx;
};

struct keeper {
	struct keeper_opts o;
	struct release *accepted;
	uint64_t epoch;            /* the newest that was accepted */
	struct release *candidate; /* NULL: none */
	struct release *replaced;  /* while the reactors change over */
	struct list gens;
	struct keeper_slot *slots; /* [n_slots] */
	unsigned n_slots;
	uint64_t next_generation;
	struct reactor **reactors; /* [o.reactors] */
	uint64_t *given;           /* [o.reactors] connections handed over */
	int *bells;                /* [o.reactors] */
	int shared_fd;
	struct shm shared;
	struct vault vault; /* shared memory of the app */
	struct keeper_totals gone;
};

int keeper_init(struct keeper *k, const struct keeper_opts *o, struct err *err);
/* Starts the reactor threads. */
int keeper_start_reactors(struct keeper *k, struct err *err);
/* Ends and joins them.  The mailbox may then be closed. */
void keeper_stop_reactors(struct keeper *k);
void keeper_fini(struct keeper *k);

/* Makes all that a new process needs and queues it on its control socket; the caller gets our end, the
 * child's end and the up segment. */
struct keeper_fds {
	int control;
	int child_end;
	int up;
};
int keeper_open(struct keeper *k, unsigned slot, uint64_t generation, uint64_t epoch, bool canary, pid_t manager,
                struct keeper_fds *out, struct err *err);
/* `pidfd` is taken. */
void keeper_spawned(struct keeper *k, unsigned slot, uint64_t generation, pid_t pid, int pidfd);
/* on_attached follows, unless the process broke the rules: then it is killed. */
void keeper_attach(struct keeper *k, unsigned slot, uint64_t generation);
void keeper_gone(struct keeper *k, unsigned slot, uint64_t generation, int status, bool unexpected);
/* The slot's user process has ended, and its `restart` lets it rest. */
bool keeper_has_ended(const struct keeper *k, unsigned slot);
void keeper_slot_failed(struct keeper *k, unsigned slot, bool failed);

/* The candidate is taken. */
void keeper_try(struct keeper *k, struct release *candidate);
void keeper_abandon(struct keeper *k);
/* For all slots, or for those of task workers.  on_committed follows. */
void keeper_commit(struct keeper *k, bool tasks_only);

/* The manager died: what it had not finished is undone. */
void keeper_forget_unfinished(struct keeper *k);
/* The process with that number, or NULL. */
struct keeper_gen *keeper_by_pid(struct keeper *k, pid_t pid);
/* The newest process of a slot that serves or is about to, or NULL. */
struct keeper_gen *keeper_newest(const struct keeper *k, unsigned slot);

/* Hands a connection to the reactor with the fewest. */
void keeper_give(struct keeper *k, int fd, const struct port *port, const struct sock_peer *peer);
/* Connections of reactor `i`, those on their way included. */
uint64_t keeper_connections(const struct keeper *k, unsigned i);
bool keeper_may_accept(const struct keeper *k);
