/* The runtime of a worker process: one Lua state, its handlers, and links to reactors.  One thread.
 *
 * worker_new() → worker_load() → worker_attach() for each reactor → worker_ready() → frames → worker_drain() → on_drained →
 * worker_free().
 */
#pragma once

#include "conf/settings.h"
#include "ipc/chan.h"
#include "ipc/link.h"
#include "loop/loop.h"
#include "lua/image.h"

struct worker;

struct worker_opts {
	struct loop *loop;
	const struct settings *settings;
	struct image *image;
	unsigned slot;
	uint64_t generation;
	struct board_worker *board;
	const struct shm *reactors; /* process mode: their boards (ipc/chan.h), n_reactors of them */
	unsigned n_reactors;
	const int *shared; /* memory of what the settings declare (app_share()) */
	int queue;         /* the System V queue that tasks go through; -1: none */
	uint64_t server;   /* with it: the number of this start of the server */
	pid_t master_pid;
	pid_t manager_pid;
	/* max_request is reached: the supervisor should replace this process. */
	void (*on_retire)(void *ctx);
	/* The function of a user process has ended, and with it all it began: the process should leave with that exit code. */
	void (*on_finished)(void *ctx, int code);
	/* Drained: no request, no coroutine, nothing queued; or the deadline has passed. */
	void (*on_drained)(void *ctx);
	void *ctx;
};

struct worker *worker_new(const struct worker_opts *opts);
/* Makes the Lua state with `modules` (api/modules.c), runs the app script from the image, resolves handlers, runs
 * worker_start, and, if `selftest`, the selftest handler.  The error's text has file, line and traceback.
 * `done` is called once the hooks have ended (they may wait), with err->code 0 or negative. */
struct lua_module;
void worker_load(struct worker *w, const struct lua_module *modules, bool selftest,
                 void (*done)(void *ctx, const struct err *err), void *ctx);
/* The whole server is ready: a user process begins its function. */
void worker_begin(struct worker *w);
/* The link to reactor `reactor`, taken. */
void worker_attach(struct worker *w, unsigned reactor, struct link *link);
/* Base mode: the way to the reactors of another worker; lent, and outlives the worker's use of it. */
void worker_attach_peer(struct worker *w, unsigned owner, struct link *link);
/* A frame that another worker's reactor sent.  -EBADMSG: that is none it may send. */
struct frame;
int worker_foreign(struct worker *w, const struct frame *f, struct str payload);
/* Another process that runs the app: the way to it, lent until worker_part(), and its board, taken. */
void worker_meet(struct worker *w, unsigned slot, uint64_t generation, struct link *line, int board_fd);
/* It has ended, with that status of waitpid, and everything it sent has come. */
void worker_part(struct worker *w, unsigned slot, uint64_t generation, pid_t pid, int status);
/* A slot has failed and gets no process, or is tried again. */
void worker_slot_failed(struct worker *w, unsigned slot, bool failed);
/* A frame from it.  -EBADMSG: that is none it may send. */
int worker_on_side(struct worker *w, unsigned slot, uint64_t generation, const struct frame *f, struct str payload);
/* The eventfd that reactors ring (process mode); taken. */
int worker_set_bell(struct worker *w, int bell);
/* It will be drained: worker_exit is told, once, if there is work that it could end. */
void worker_tell_exit(struct worker *w);
/* Takes nothing new once all reactors said BYE; runs worker_exit while work is left; on_drained at the latest after
 * `wait_ms` (0: at once).  `last`: the whole server stops. */
void worker_drain(struct worker *w, uint64_t wait_ms, bool last);
/* Runs worker_stop, closes the Lua state and the links. */
void worker_free(struct worker *w);
