/* The taskbox: the System V queue of tasks (task_ipc_mode 2 and 3) as the master holds it.  Task workers come and go; the queue is there before
 * the first and after the last of them, and with a message_queue_key after the server, too.
 *
 * One without a key must not outlive a master that is killed.  Every process of the server has the reading end of a pipe that nobody
 * writes to; when it ends, the master has gone, and they remove the queue (the leash).
 */
#pragma once

#include "conf/settings.h"

struct taskbox {
	int id;          /* -1: tasks go directly */
	uint64_t server; /* a random number of this start */
	uint32_t key;    /* 0: it is ours alone */
	int leash[2];
	const char *dir; /* of the settings it was opened with, which outlive it */
};

/* Opens what the settings say.  After the privileges were dropped: the queue belongs to whom the server runs as. */
int taskbox_open(struct taskbox *b, const struct settings *s, struct err *err);
/* The last process has ended. */
void taskbox_close(struct taskbox *b);
/* Tells a new process of it, if there is one.  0 or negative errno. */
int taskbox_send(const struct taskbox *b, int control);

/* In other processes: watches the leash, which is taken. */
int taskbox_guard(int queue, int leash);
/* Such a process ends. */
void taskbox_end_guard(void);
