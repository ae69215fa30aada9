/* What the files of the worker share. */
#pragma once

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "loop/watch.h"
#include "lua/app.h"
#include "lua/sched.h"
#include "lua/watchdog.h"
#include "worker/outflow.h"
#include "worker/ready.h"
#include "worker/request.h"
#include "worker/session.h"
#include "worker/strangers.h"
#include "worker/worker.h"

struct worker {
	struct worker_opts o;
	enum crew_kind kind;
	lua_State *L;
	struct app *app;
	struct sched *sched;
	struct watchdog watchdog;
	struct loop_hook hook;
	struct watch bell;
	bool has_bell;
	struct link *links[SLOTS_OWNERS]; /* by reactor id */
	unsigned n_links;
	struct link *peers[SLOTS_OWNERS]; /* base mode: to the reactors of other workers, by their id */
	struct list colleagues;           /* struct colleague: other processes that run the app */
	struct orders *orders;            /* tasks asked of them */
	struct strangers *strangers;
	struct duties *duties; /* tasks they ask of this one; NULL: it is no task worker */
	struct fetch *fetch;   /* where those come through the System V queue */
	struct messages *messages;
	struct intake *intake;   /* of a user process */
	struct mission *mission; /* NULL: it is no user process */
	struct commands *commands;
	struct list questions; /* struct question, see inquiry.c */
	uint32_t asked;
	unsigned n_byes;
	struct list ready;
	struct list room_waiters; /* struct outflow.waiting */
	struct map sessions;      /* conn_id -> struct session */
	struct map requests;      /* conn_id ^ stream << 53 … see request_key() */
	unsigned in_flight;       /* requests and messages whose handlers have not ended */
	uint64_t begun;           /* requests and messages so far, for max_request */
	uint64_t retire_at;       /* 0: never */
	bool retired;
	bool draining;
	bool exit_told; /* worker_exit */
	bool last;      /* the whole server stops */
	bool drained;
	bool unwatched;          /* what runs now may run for as long as it likes */
	bool cancelled;          /* background coroutines were told to end */
	uint64_t drain_deadline; /* loop time */
	uint64_t cancel_at;
	struct timer drain_timer;
	void (*loaded)(void *ctx, const struct err *err);
	void *loaded_ctx;
	bool selftest;
	struct log_every complaints;
	struct log_every blocks; /* what held the loop */
	struct err *capture;     /* where the error of a plain call goes instead of the log */
};

/* The one worker of this process; NULL in other roles. */
struct worker *worker_current(void);
void worker_ready(struct worker *w, struct ready *ready);
/* One more request or message begins. */
void worker_count_begin(struct worker *w);
void worker_count_end(struct worker *w);
/* Publishes what was sent, and rings those who sleep. */
void worker_flush_links(struct worker *w);
/* Says in the log what came of an allocation that failed, at most every 10 s. */
void worker_out_of_memory(struct worker *w, const char *consequence);
/* The link that leads to a connection; NULL: no such reactor here. */
struct link *worker_link(struct worker *w, conn_id id);
/* Sends a frame to whoever has the connection f->conn, this worker's reactors or, in base mode, another process.  -ENOTCONN: nobody can
 * have it; -ENOBUFS: not taken. */
int worker_send_any(struct worker *w, const struct frame *f, const struct str *parts, int n);

/* Runs a handler with the `nargs` values on the stack of the state it returns.  handler_begin() gives that state with the
 * function pushed (a new task, or in plain mode the main state); NULL: max_coroutine is reached. */
struct handler_call {
	lua_State *L;
	struct task *task; /* NULL in plain mode */
	const char *event;
	uint64_t fd;
};
bool handler_begin(struct worker *w, int handler, const char *event, uint64_t fd, struct handler_call *out);
/* on_done(task, status) is called also in plain mode, with a task that has only ctx and event (L is the main state, error text on
 * top). Runs now. */
void handler_run(struct worker *w, struct handler_call *call, int nargs, void (*on_done)(struct task *t, int status),
                 void *ctx);
/* Leaves the first result of the task's handler, or nil, on top of its stack; in on_done, status 0. */
void handler_take_result(const struct worker *w, const struct task *t);
/* What the task's handler raised, with its traceback; in on_done. */
const char *handler_error_text(const struct task *t);
/* Logs it: once, with event, fd and `about` (a request line, may be NULL). */
void handler_log_error(struct worker *w, const struct task *t, const char *text, const char *about);
/* Pushes the server object. */
void handler_push_server(struct worker *w, lua_State *L);
/* link.on_frame; ctx is the worker. */
int handler_on_frame(void *ctx, const struct frame *f, struct str payload);
