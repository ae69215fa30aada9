/* The scheduler: tasks are coroutines that C runs.  One per worker process.
 *
 * A task that waits is on exactly one waiter list, of whoever will wake it, and has a cancel function that takes it off.
 * Waking queues it; the run queue is drained by sched_run() at the end of callbacks, never inside them.  Finished
 * coroutines are used again; those that died of an error are not, since closures may look at their variables.
 */
#pragma once

#include "base/list.h"
#include "loop/loop.h"
#include "lua/state.h"

struct sched;
struct task;

struct task {
	struct list link; /* run queue, or free for the waiter's list while parked */
	lua_State *L;     /* its coroutine */
	struct sched *sched;
	/* While parked: takes the task off the waiter's list and releases what the wait owned. */
	void (*cancel)(struct task *t);
	void *wait; /* the waiter's */
	/* When the coroutine has ended: status 0 or a Lua error code with the message (with traceback) on L's stack top.  Called
	 * once; NULL: errors are logged by the scheduler's on_error. */
	void (*on_done)(struct task *t, int status);
	void *ctx;          /* the starter's: request, session, … */
	const char *event;  /* "request", "receive", "timer", "go": for logs */
	uint64_t fd;        /* connection id for logs, or 0 */
	uint64_t id;        /* luaserv.id(); from 1 */
	struct timer timer; /* the wait's time-out, owned by the task */
	int anchor;         /* registry reference that keeps the coroutine alive */
	int defers;         /* registry reference of the table of deferred functions, or LUA_NOREF */
	uint8_t state;
	bool cancelled; /* to be raised at the next wait; in on_done: the coroutine ended by it */
	int n_results;  /* pushed by the waker */
	int wait_ref;   /* the waiter's: a registry reference it holds while the task is parked, or LUA_NOREF */
	/* The scheduler's own. */
	lua_State *waiting;      /* what called sched_park: L, or a coroutine that runs inside it */
	const char *raise;       /* raised in `waiting` when it goes on */
	int outcome;             /* status of the function, kept while deferred functions run */
	int outcome_ref;         /* its results or message, in a table */
	bool timeout_is_success; /* a sleep */
};

struct sched_opts {
	struct loop *loop;
	unsigned max_tasks; /* max_coroutine */
	bool plain;         /* enable_coroutine = false: timers and handlers are called by sched_call_plain */
	/* An error nobody handled; text has the traceback. */
	void (*on_error)(void *ctx, const struct task *t, const char *text);
	/* Lua is entered / left at depth 0: for busy_since and the watchdog. */
	void (*on_enter)(void *ctx, lua_State *co);
	void (*on_leave)(void *ctx);
	/* The last task has ended. */
	void (*on_idle)(void *ctx);
	void *ctx;
};

/* Installs itself in the state (sched_of() finds it). */
struct sched *sched_new(lua_State *L, const struct sched_opts *opts);
/* Cancels everything; before state_close(). */
void sched_free(struct sched *s);
struct sched *sched_of(lua_State *L);
/* The task that runs now, or NULL outside of tasks. */
struct task *sched_current(struct sched *s);
/* A task that has not ended, by luaserv.id(); NULL: none. */
struct task *sched_find(struct sched *s, uint64_t id);
bool sched_is_plain(const struct sched *s);
struct loop *sched_loop(const struct sched *s);

/* A task ready to be given a function and its arguments on task->L; NULL: max_coroutine are alive. */
struct task *sched_task(struct sched *s);
/* Runs it now, until it parks or ends. Function and `nargs` arguments are on its stack. */
void sched_start(struct task *t, int nargs);
/* Queues it instead (luaserv.go from inside a task runs at once up to its first wait, as Swoole does: sched_start nests). */
void sched_queue(struct task *t, int nargs);

/* Waits: `return sched_park(L, cancel, wait)` from a C function that runs in a task.  Raises where waiting is impossible: outside of a
 * task ("luaserv.sleep cannot wait here: …"), or across a C call; `cancel` is called before it raises.  timeout_ms 0: none; when it passes, `cancel` is called and the C
 * function returns nil, "timeout", ETIMEDOUT. */
int sched_park(lua_State *L, const char *what, void (*cancel)(struct task *t), void *wait, uint64_t timeout_ms);
/* As sched_park, but the time-out is what is waited for: returns true. */
int sched_sleep(lua_State *L, const char *what, uint64_t ms);
/* Lets what is queued run before the caller goes on: `return sched_pause(L, "luaserv.yield")`. */
int sched_pause(lua_State *L, const char *what);
/* The function at `idx` runs when the current task ends, after those deferred later, whatever its outcome. */
void sched_defer(lua_State *L, int idx);
/* True if sched_park would not raise. */
bool sched_may_park(lua_State *L);
/* The parked task goes on with the `n_results` values pushed on t->L. */
void sched_wake(struct task *t, int n_results);
/* The parked task goes on with an error "cancelled"; one that is queued or runs gets it at its next wait. */
void sched_cancel(struct task *t);
/* Runs what is queued; true: more is queued (the budget was used up). Called by the worker's hooks. */
bool sched_run(struct sched *s);
/* Something is queued. */
bool sched_is_due(const struct sched *s);
unsigned sched_count(const struct sched *s);
/* Parked tasks of `luaserv.go` and timers are dropped at the end of a drain: cancels every task. */
void sched_cancel_all(struct sched *s);

/* Calls a function that may not wait, outside of any task; results are left on the stack, an error is in err->text with its
 * traceback.  Function and arguments on L's stack. */
int sched_call(struct sched *s, lua_State *L, int nargs, int nresults, struct err *err);
/* enable_coroutine = false: calls the function on L directly, errors to on_error. Function and args on L's stack. */
int sched_call_plain(struct sched *s, lua_State *L, int nargs, int nresults, const char *event, uint64_t fd);
