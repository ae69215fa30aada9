/* Runs a short-lived `eval` child: the app script in record mode, or one lifecycle hook. App code cannot
 * hurt the process that asks: it dies alone, and it is killed when it takes too long.
 */
#pragma once

#include "ipc/ctl.h"
#include "loop/loop.h"
#include "super/launch.h"
#include "super/release.h"

struct evaluate;

struct evaluate_opts {
	struct loop *loop;
	unsigned self; /* enum ctl_role of this process */
	int out;       /* descriptor for the child's log and prints */
	uint64_t timeout_ms;
	const int *shared; /* for a hook: memory of what the settings declare, in that order */
	unsigned n_shared;
	/* Once; `release` is the receiver's, NULL when err->code is not 0 or it was a hook. */
	void (*done)(void *ctx, struct release *release, const struct err *err);
	void *ctx;
};

/* How long the script may take, as far as options and environment say it: its own settings are not known
 * yet. */
uint64_t evaluate_timeout(const struct launch *launch);
/* What the script says.  NULL with a sentence: done() is not called. */
struct evaluate *evaluate_script(const struct evaluate_opts *o, const struct launch *launch, struct err *err);

/* Arguments of a hook, as events.def lists them. */
struct evaluate_hook {
	enum settings_event event;
	unsigned worker_id;
	int pid;
	int status; /* as of waitpid(): worker_error */
};

struct evaluate *evaluate_hook(const struct evaluate_opts *o, struct release *r, const struct evaluate_hook *hook,
                               struct err *err);

/* Kills it; done() is not called any more. */
void evaluate_cancel(struct evaluate *e);
/* The process's reaper found this child.  False: it is none of ours. */
bool evaluate_exited(int pid, int status);
