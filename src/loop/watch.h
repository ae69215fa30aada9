/* A descriptor that a loop watches: uv_poll, level-triggered, with our own reads and writes.
 *
 * One watch per descriptor.  A watch is closed in one place, watch_close(), which also closes the descriptor; its memory
 * may be freed in on_closed, not before.
 */
#pragma once

#include "loop/loop.h"

enum watch_events { WATCH_READ = UV_READABLE, WATCH_WRITE = UV_WRITABLE, WATCH_HANGUP = UV_DISCONNECT };

struct watch {
	uv_poll_t poll;
	void (*on_event)(struct watch *w, int events); /* enum watch_events; errors are given as READ|WRITE */
	void (*on_closed)(struct watch *w);
	int fd; /* -1: closed */
	int events;
};

/* Takes `fd`, which is non-blocking.  Negative errno: the descriptor stays the caller's. */
int watch_open(struct watch *w, struct loop *l, int fd, void (*on_event)(struct watch *w, int events));
/* What to wait for; 0: nothing.  No system call until the loop sleeps, none if it did not change. */
void watch_set(struct watch *w, int events);
/* Closes the descriptor; no event comes any more.  `on_closed` (may be NULL) runs at the end of the turn. */
void watch_close(struct watch *w, void (*on_closed)(struct watch *w));
/* Stops watching without closing the descriptor, which is the caller's again. */
int watch_release(struct watch *w, void (*on_closed)(struct watch *w));
