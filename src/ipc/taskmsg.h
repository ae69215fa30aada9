/* A task as a message of a System V queue.  Programs of others write them, too, so the layout is part of the interface: docs/guide/tasks.md.
 *
 *   "LSQ1" | flags | form | 0 | 0 | with ASKED: struct taskmsg_asker | data, or with FILED the name of the file that holds it
 */
#pragma once

#include "base/str.h"

enum {
	TASKMSG_ASKED = 1, /* a process of a server waits for what becomes of it */
	TASKMSG_FILED = 2, /* the data is in a file of task_tmpdir (sys/spool.h) */
	TASKMSG_PROBE = 4, /* no task: whoever takes it tells the asker so */
};

/* In this machine's byte order: a queue is in one kernel. */
struct taskmsg_asker {
	uint64_t server; /* a random number of each start, not 0: others' numbers mean nothing */
	uint64_t generation;
	uint64_t id;
	uint32_t slot;
	uint32_t unused;
};

enum { TASKMSG_HEAD = 8, TASKMSG_FORMS = 2 };

struct taskmsg {
	unsigned flags;
	unsigned form; /* enum pack_form, which this floor does not know */
	struct taskmsg_asker asker;
	struct str data;
};

/* Its length, or -EMSGSIZE. */
ssize_t taskmsg_write(const struct taskmsg *t, char *out, size_t cap);
/* -EBADMSG. */
int taskmsg_read(struct str bytes, struct taskmsg *out);
