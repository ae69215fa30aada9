/* Children: posix_spawn of a role of this same program, with one control socket as descriptor 3.
 *
 * /proc/self/exe is the file this process was started from even after an upgrade replaced it on disk.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct spawn_opts {
	const char *role;  /* "manager", "worker", "eval", "master" */
	const char *title; /* argv[0], e.g. "luaserv: worker 0" */
	int control;       /* becomes fd 3; the caller closes its own afterwards */
	int out;           /* becomes fd 1 and 2 */
	bool new_session;  /* setsid, for daemons */
};

struct child {
	pid_t pid;
	int pidfd; /* becomes readable when the process has ended; -1: none */
};

/* All signals are unblocked and default in the child.  0 or negative errno. */
int spawn_role(const struct spawn_opts *opts, struct child *out, struct err *err);

/* Another program in this one's place: a child with the role "program" (run_program.h) ties its life to ours and becomes it. */
struct spawn_program_opts {
	const char *const *args; /* args[0] is looked for in PATH */
	size_t n_args;
	char *const *env;      /* NULL: ours */
	const char *directory; /* where it begins; "": here */
	int in_out;            /* becomes fd 0 and 1 */
	int err;               /* becomes fd 2 */
	int control;   /* SEQPACKET, becomes fd 3: struct spawn_failure if it cannot be started, the end if it was */
	bool survives; /* us, in a session of its own; else it is killed when this process ends, however it does */
};

struct spawn_failure {
	int error;      /* errno */
	bool directory; /* its directory cannot be entered */
};

enum { SPAWN_PROGRAM_ARGS = 5 }; /* what stands in front of `args` in the child's argv */

/* To be called by the main thread: it is that thread whose end is the end of the program.  0 or negative errno. */
int spawn_program(const struct spawn_program_opts *opts, struct child *out);

/* Signals through the pidfd, so never a stranger.  0 or negative errno. */
int spawn_signal(const struct child *child, int sig);

/* If the child has ended: reaps it, fills `*status` as waitpid() and returns 1; 0: it still runs; -ECHILD: not ours.
 * The pidfd stays open, since a loop may still poll it: the caller closes it. */
int spawn_reap(struct child *child, int *status);

/* "exited with code 1", "died by SIGSEGV (core dumped)". Returns `out`. */
const char *spawn_status_text(int status, char *out, size_t cap);
