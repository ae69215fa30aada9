/* The master: evaluates the app in a child, binds, starts threads and children, accepts, keeps, and ends
 * them all. */
#pragma once

#include "base/err.h"
#include "super/launch.h"

#include <stdbool.h>

struct run_master_opts {
	const struct launch *launch;
	int ready_fd; /* one line is written here when it serves, then it is closed; -1: none */
	int control;  /* a daemon's socket to the command line that started it; -1: in the foreground */
};

enum { RUN_MASTER_DAEMONIZE = -1 }; /* the app asks to run in the background: start a daemon instead */

/* Until the server has ended; returns the exit code. */
int run_master(const struct run_master_opts *opts);
/* The role of a daemon: its orders come over the control socket. */
int run_master_daemon(int control);
