/* The supervisor: worker slots, their processes, reloads. It runs in the manager (process mode) or in the
 * master (base mode) and knows neither: what it needs from the keeper of descriptors it asks through struct
 * super_ops.
 */
#pragma once

#include "super/evaluate.h"
#include "super/launch.h"
#include "super/reload.h"
#include "super/slot.h"

struct super_ops {
	/* Descriptors for a new process; answered by super_opened() or super_refused(), now or later. */
	void (*open)(void *ctx, unsigned slot, uint64_t generation, uint64_t epoch, bool canary);
	/* The process exists; `child` is lent. */
	void (*spawned)(void *ctx, unsigned slot, uint64_t generation, const struct child *child);
	/* Reactors shall use the process; answered by super_attached(). */
	void (*attach)(void *ctx, unsigned slot, uint64_t generation);
	/* The process has ended, or was given up before it was spawned. */
	void (*gone)(void *ctx, unsigned slot, uint64_t generation, int status, bool unexpected);
	void (*slot_failed)(void *ctx, unsigned slot, bool failed);
	/* Every slot has its first process, attached and told to START. */
	void (*serving)(void *ctx);
	/* The first processes could not be started; they are being killed, stopped() follows. */
	void (*start_failed)(void *ctx, const char *text);
	/* After super_stop(): no process is left. */
	void (*stopped)(void *ctx);
	/* A lifecycle event for the app, if it asked for it. */
	void (*hook)(void *ctx, const struct evaluate_hook *hook);
	/* A release under trial; `r` is lent. */
	void (*candidate)(void *ctx, struct release *r);
	void (*abandon)(void *ctx);
	/* The candidate is accepted, or for task workers only; answered by super_committed(). */
	void (*commit)(void *ctx, bool tasks_only);
	/* Answer to super_reload(): err->code is 0 when it is committed. */
	void (*reloaded)(void *ctx, uint64_t tag, const struct err *err);
};

enum super_phase { SUPER_NEW, SUPER_STARTING, SUPER_RUNNING, SUPER_STOPPING, SUPER_STOPPED };

struct super {
	struct loop *loop;
	const struct super_ops *ops;
	void *ctx;
	unsigned self;           /* enum ctl_role of this process */
	struct release *release; /* accepted, for workers at least */
	uint64_t epoch;          /* the newest that was accepted */
	struct launch launch;
	struct slot *slots;
	unsigned n_slots;
	uint64_t next_generation;
	enum super_phase phase;
	struct list waiting; /* slots that want a start permit */
	unsigned starting;   /* processes that are not ready yet */
	unsigned start_max;
	uint64_t stop_at;     /* loop time by which a stop must have ended */
	unsigned stop_stages; /* how many kinds of processes were told to stop, one after the other */
	struct timer beat;    /* watchdog */
	struct reload reload;
};

struct super_opts {
	struct loop *loop;
	const struct super_ops *ops;
	void *ctx;
	unsigned self;
	struct release *release;     /* a reference is taken */
	const struct launch *launch; /* copied */
	uint64_t next_generation;
};

struct super *super_new(const struct super_opts *opts);
void super_free(struct super *s);

/* Starts a process in every slot. */
void super_start(struct super *s);
/* Before those: a slot has another release than the server's, after a reload of task workers alone. */
void super_accept(struct super *s, unsigned slot, struct release *release);
/* Instead of super_start(), after a predecessor died: adopts what it left (all taken), in order of
 * generation, then super_resume() starts what is missing and undoes a reload that was under way. */
void super_adopt(struct super *s, unsigned slot, uint64_t generation, uint64_t epoch, const struct child *child,
                 int control, int up);
void super_resume(struct super *s);

/* Answers to super_ops; the descriptors are taken. */
void super_opened(struct super *s, unsigned slot, uint64_t generation, int control, int child_end, int up);
void super_refused(struct super *s, unsigned slot, uint64_t generation, const char *text);
void super_attached(struct super *s, unsigned slot, uint64_t generation);
void super_committed(struct super *s);
/* A process that we could not reap ourselves.  False: it is none of ours. */
bool super_exited(struct super *s, int pid, int status);

/* Reloads, or replaces task workers only; ops.reloaded(tag) tells the result.  While one runs, another is remembered. */
void super_reload(struct super *s, uint64_t tag, bool tasks_only);
/* Stops every process; called again with less time: sooner. */
void super_stop(struct super *s, uint64_t wait_ms);
/* Hands new log descriptors to every worker; access_log may be -1. */
void super_reopen(struct super *s, int log, int access_log);

/* For slot.c and ward.c. */
/* The processes of that kind have been told to stop. */
bool super_stops(const struct super *s, enum crew_kind kind);
void super_start_waiting(struct super *s);
void super_slot_serves(struct super *s);
void super_slot_emptied(struct super *s);
void super_start_failed(struct super *s, const char *text);
void super_run_hook(struct super *s, const struct evaluate_hook *hook);
