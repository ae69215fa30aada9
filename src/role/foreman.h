/* One manager process as the master sees it: its control socket and its end. */
#pragma once

#include "super/control.h"
#include "sys/spawn.h"

struct foreman {
	struct control control;
	struct watch pid_watch;
	struct child child;
	uint64_t started_ms;
	bool ended;
	unsigned handles; /* of the loop: not yet closed */
	void (*on_msg)(struct foreman *f, struct ctl_msg *m);
	/* The process has ended; `f` is freed afterwards. */
	void (*on_ended)(struct foreman *f, int status);
	void *ctx;
};

struct foreman_opts {
	struct loop *loop;
	void (*on_msg)(struct foreman *f, struct ctl_msg *m);
	void (*on_ended)(struct foreman *f, int status);
	void *ctx;
};

/* Starts the process.  NULL with a sentence. */
struct foreman *foreman_start(const struct foreman_opts *o, struct err *err);
/* Whoever reaped it tells how it ended. */
void foreman_ended(struct foreman *f, int status);
void foreman_kill(struct foreman *f);
/* Lets go of it, alive or not: no callback comes any more. */
void foreman_close(struct foreman *f);
