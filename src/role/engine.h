/* What a worker process is made of: the Lua worker and its links, in process mode over rings to the
 * master's reactors; in base and single mode with a reactor of its own in the same loop, and listening
 * sockets.
 */
#pragma once

#include "ipc/chan.h"
#include "ipc/link.h"
#include "loop/loop.h"
#include "super/release.h"

#include <stdbool.h>

struct engine;

struct engine_opts {
	struct loop *loop;
	struct release *release; /* lent; outlives the engine */
	unsigned slot;
	uint64_t generation;
	pid_t master_pid;
	pid_t manager_pid;
	bool selftest;        /* a canary */
	struct chan_fds chan; /* the bell is taken where there are reactors, the rest lent */
	const int *shared;    /* memory of what the settings declare, in that order; lent, and outlives the engine */
	int queue;            /* the System V queue that tasks go through; -1: none */
	uint64_t server;      /* with it: the number of this start of the server */
	int shared_fd;        /* process mode: the reactors' boards */
	unsigned reactors;    /* 0: it has a reactor of its own */
	const int *bells;     /* [reactors], lent; outlive the engine */
	const int *listeners; /* [n_listeners] by port; the descriptors are taken */
	unsigned n_listeners;
	int access_log; /* with its own reactor; taken; -1: none */
	/* The app is loaded, or it failed with a text; once. */
	void (*on_loaded)(void *ctx, const struct err *err);
	/* max_request is reached. */
	void (*on_retire)(void *ctx);
	/* The function of a user process has ended: the process should leave with that exit code. */
	void (*on_finished)(void *ctx, int code);
	/* After engine_stop(): nothing is left to do. */
	void (*on_stopped)(void *ctx);
	void *ctx;
};

/* NULL with a sentence; on_loaded follows otherwise, not before engine_load(). */
struct engine *engine_new(const struct engine_opts *o, struct err *err);
void engine_load(struct engine *e);
/* Begins to accept (with its own reactor); a user process begins its function. */
int engine_start(struct engine *e, struct err *err);
/* Finishes what is under way within `wait_ms`; `now`: connections with nothing under way are closed. May be
 * called again with less time. */
void engine_stop(struct engine *e, uint64_t wait_ms, bool now);
/* Base mode: the way to the processes of a slot; lent, and outlives the engine.  May be called again. */
void engine_attach_peer(struct engine *e, unsigned slot, struct link *lane);
/* A frame of another process for the reactor, or for the worker here.  Negative: it broke the rules. */
int engine_on_up(struct engine *e, struct link *back, const struct frame *f, struct str payload);
int engine_on_down(struct engine *e, const struct frame *f, struct str payload);
/* Another process that runs the app: the way to it, lent until engine_part() or engine_free(), and its board, taken. */
void engine_meet(struct engine *e, unsigned slot, uint64_t generation, struct link *line, int board_fd);
/* It has ended, with that status of waitpid. */
void engine_part(struct engine *e, unsigned slot, uint64_t generation, pid_t pid, int status);
/* A slot has failed and gets no process, or is tried again. */
void engine_slot_failed(struct engine *e, unsigned slot, bool failed);
/* A frame from it.  Negative: it broke the rules. */
int engine_on_side(struct engine *e, unsigned slot, uint64_t generation, const struct frame *f, struct str payload);
/* A new access log, taken. */
void engine_access_log(struct engine *e, int fd);
void engine_free(struct engine *e);

/* The longest payload that a frame may have with these settings. */
size_t engine_whole_max(const struct settings *s);
/* Connections open in its own reactor. */
uint64_t engine_connections(const struct engine *e);
const struct board_worker *engine_board(const struct engine *e);
