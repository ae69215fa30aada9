/* The pid file: holds the master's number, locked while it runs, so that a stale one is no obstacle. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* Writes our number.  Descriptor to keep open, or -EBUSY: another server runs. */
int pidfile_open(const char *path, struct err *err);
/* Removes the file. */
void pidfile_close(int fd, const char *path);
/* The number in it if a server holds its lock; -ESRCH: none runs. */
pid_t pidfile_read(const char *path, struct err *err);
