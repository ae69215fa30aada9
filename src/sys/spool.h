/* Data that is too large for a message: files in a directory, one for each message, removed by who reads it.
 *
 * A file is called luaserv.task.QUEUE.RANDOM, with the number of the queue that its message is in.  Messages may come from outside, so
 * a name is never a path, and only regular files of our own user are read.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <time.h>

enum { SPOOL_NAME_MAX = 64 };

/* The directory is there, made if it was missing, and takes files. */
int spool_prepare(const char *dir, struct err *err);
/* A new file.  0 and its name, or negative errno. */
int spool_write(const char *dir, int queue, struct str bytes, char name[SPOOL_NAME_MAX]);
bool spool_is_name(struct str name);
/* Its content, malloc'ed, at most `max` bytes; it is removed in any case.  The length or negative errno; -EPERM: it is no file of ours, and
 * stays. */
ssize_t spool_take(const char *dir, struct str name, size_t max, char **out);
void spool_remove(const char *dir, const char *name);
/* Removes files whose message is nowhere: those of that queue that were written before `before`, since all its messages are gone, and old
 * ones of queues that do not exist any more.  How many. */
unsigned spool_sweep(const char *dir, int queue, time_t before);
