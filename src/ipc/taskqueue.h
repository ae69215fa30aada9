/* The System V queue of task_ipc_mode 2 and 3: opened with sentences, and tasks put into it. */
#pragma once

#include "base/err.h"
#include "ipc/taskmsg.h"

/* The queue with that key, made if there is none, in a state in which it takes tasks; key 0: a new one, for us alone.  Its id or negative. */
int taskqueue_open(uint32_t key, struct err *err);
/* The one that a server has made with that key. */
int taskqueue_find(uint32_t key, struct err *err);
/* Type `type`: for task worker type - 1.  Data that is too large goes to a file in `dir`.  0; -EAGAIN: the queue is full; -EIDRM or
 * -EINVAL: it is gone; others: the file cannot be written. */
int taskqueue_push(int queue, const char *dir, long type, const struct taskmsg *t);
