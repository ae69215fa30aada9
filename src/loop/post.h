/* A mailbox of one loop: other threads post calls, the loop's thread runs them. The only lock of the data path's threads. */
#pragma once

#include "loop/loop.h"

#include <pthread.h>

struct post {
	struct list link;
	void (*fn)(struct post *p); /* runs in the loop's thread; owns p */
};

struct mailbox {
	struct loop *loop;
	uv_async_t async;
	pthread_mutex_t lock;
	struct list queue;
};

int mailbox_open(struct mailbox *m, struct loop *l);
/* Any thread.  Wakes the loop only if the mailbox was empty. */
void mailbox_post(struct mailbox *m, struct post *p);
/* The loop's thread; posts that come later are lost, so close only after their senders have ended. */
void mailbox_close(struct mailbox *m);
