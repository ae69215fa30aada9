/* The worker processes as the master sees them, whoever supervises them: a manager process
 * (fleet_process.c), a supervisor in the master itself (fleet_base.c), or nobody, where the master is the
 * worker (fleet_single.c). The mode is decided when the fleet is made; nobody asks later.
 */
#pragma once

#include "role/keeper.h"
#include "super/launch.h"

struct fleet;

struct fleet_ops {
	/* on_serving or on_start_failed follows. */
	int (*start)(struct fleet *f, struct err *err);
	/* on_reloaded(tag) follows; tag 0: nobody waits. */
	void (*reload)(struct fleet *f, uint64_t tag, bool tasks_only);
	/* on_stopped follows when no worker is left and the app's handlers have run; again with less time: sooner. */
	void (*stop)(struct fleet *f, uint64_t wait_ms);
	/* New logs for the children. */
	void (*reopen)(struct fleet *f, int log, int access_log);
	/* The master reaped this child.  False: none of the fleet's. */
	bool (*exited)(struct fleet *f, pid_t pid, int status);
	/* Answers of the keeper. */
	void (*attached)(struct fleet *f, unsigned slot, uint64_t generation);
	void (*committed)(struct fleet *f);
	pid_t (*manager_pid)(const struct fleet *f);
	void (*free)(struct fleet *f);
};

struct fleet {
	const struct fleet_ops *ops;
	struct loop *loop;
	struct keeper *keeper;
	const struct launch *launch;
	void (*on_serving)(void *ctx);
	/* Before anything served; on_stopped follows. */
	void (*on_start_failed)(void *ctx, const char *text);
	void (*on_stopped)(void *ctx);
	/* text "": committed. */
	void (*on_reloaded)(void *ctx, uint64_t tag, bool done, const char *text);
	void *ctx;
};

/* Fill everything but ops of `base`; it is copied. */
struct fleet *fleet_process_new(const struct fleet *base);
struct fleet *fleet_base_new(const struct fleet *base);
struct fleet *fleet_single_new(const struct fleet *base);
