/* A descriptor that a loop watches by epoll, with our own reads and writes: by levels, or where asked by edges.
 *
 * One watch per descriptor.  A watch is closed in one place, watch_close(), which also closes the descriptor; its memory
 * may be freed in on_closed, not before.
 */
#pragma once

#include "loop/loop.h"

enum watch_events {
	WATCH_READ = EPOLLIN,
	WATCH_WRITE = EPOLLOUT,
	WATCH_ERROR = EPOLLERR,  /* comes whatever is waited for, but a watch that waits for nothing hears of nothing */
	WATCH_HANGUP = EPOLLHUP, /* the same */
	/* The peer has ended its side.  Only where it is asked for. */
	WATCH_PEER_DONE = EPOLLRDHUP,
	/* To ask with: one event each time that something comes, whether it is read or not.  The kernel then need not look again
	 * at a socket that was read empty; who leaves something calls watch_again(). */
	WATCH_EDGES = (int)EPOLLET,
};

struct watch {
	struct loop *loop;
	void (*on_event)(struct watch *w,
	                 int events); /* enum watch_events; with ERROR and HANGUP come READ and WRITE */
	void (*on_closed)(struct watch *w);
	struct list closing;
	int fd; /* -1: closed */
	int events;
};

/* Takes `fd`, which is non-blocking, and waits for WATCH_READ.  Negative errno, the descriptor stays the caller's: -EPERM for
 * files, -EEXIST for one that this loop watches already. */
int watch_open(struct watch *w, struct loop *l, int fd, void (*on_event)(struct watch *w, int events));
/* The same with a choice of what to wait for. */
int watch_open_for(struct watch *w, struct loop *l, int fd, int events, void (*on_event)(struct watch *w, int events));
/* What to wait for; 0: nothing.  No system call if it did not change. */
void watch_set(struct watch *w, int events);
/* For a watch of edges: what is so now is told once more, at the loop's next turn. */
void watch_again(struct watch *w);
/* Closes the descriptor; no event comes any more.  `on_closed` (may be NULL) runs at the end of the turn. */
void watch_close(struct watch *w, void (*on_closed)(struct watch *w));
/* Stops watching without closing the descriptor, which is the caller's again. */
int watch_release(struct watch *w, void (*on_closed)(struct watch *w));

/* For loop.c: what epoll said. */
void watch_on_events(struct watch *w, uint32_t events);
