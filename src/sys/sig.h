/* Signals: blocked in every thread, read from one signalfd in the main loop. */
#pragma once

#include "base/err.h"

#include <signal.h>
#include <stdbool.h>

/* Blocks `signals` (0-terminated) in the calling thread, and so in those it starts; SIGPIPE and SIGXFSZ are ignored.
 * Returns a non-blocking signalfd or negative errno. */
int sig_open(const int *signals);
/* Next pending signal number, with its sender's pid (may be NULL); 0: none. */
int sig_next(int fd, int *sender);
/* Blocks everything that can be blocked in this thread, but for SIGSEGV and its like. */
void sig_block_all(void);
/* On: the signal ends this process at once, as it does by default, though it is read from a signalfd otherwise.  This thread. */
void sig_let_end(int sig, bool on);
/* The number of "SIGTERM" or "TERM"; 0: none is called so. */
int sig_find(const char *name);
/* "SIGTERM". */
const char *sig_name(int sig);
/* On SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL: writes one line with the role and the signal by write(2) on an alternate
 * stack, then lets the default action follow. */
void sig_install_crash_printer(const char *role, int number);
