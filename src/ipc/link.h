/* What reactor code and worker code know of each other: a queue of frames in each direction, the same in both modes.
 *
 * PROCESS mode: rings over a channel (link_ring.c).  BASE mode: two in-process queues (link_local.c).  Never a
 * synchronous call: what is sent is delivered by the peer's next drain.  One thread per end.
 *
 * A frame longer than the carrier's piece is cut into pieces with FRAME_MORE by the sender; they stand directly behind
 * each other.  Types that must be whole (all but BODY, SEND, PUSH and RESPONSE_BODY) are put together again by the receiver,
 * up to link_ring_opts.whole_max.
 */
#pragma once

#include "ipc/frame.h"

struct link;

struct link_ops {
	int (*send)(struct link *l, const struct frame *f, const struct str *parts, int n);
	/* NULL: the other side is another process, so everything is copied. */
	int (*lend)(struct link *l, const struct frame *f, struct str payload, uint64_t token);
	void (*flush)(struct link *l);
	int (*drain)(struct link *l);
	bool (*sleep)(struct link *l);
	void (*close)(struct link *l);
};

struct link {
	const struct link_ops *ops;
	/* A frame came; payload is lent until return.  Pieces are already joined for types that must be whole.
	 * Negative return: the peer broke the rules; drain stops and hands it on. */
	int (*on_frame)(void *ctx, const struct frame *f, struct str payload);
	/* There is room again after `full` was set; once per such time. */
	void (*on_room)(void *ctx);
	/* What link_lend() was given is not looked at any more.  NULL: this end lends nothing. */
	void (*on_returned)(void *ctx, uint64_t token);
	void *ctx;
	bool full;          /* the backlog is not empty: stop producing where you can */
	uint32_t piece_max; /* a payload up to this travels uncut */
	unsigned ends;      /* processes that hear what is sent: one, but for those of role/mesh.c */
	uint64_t sent;      /* frames */
	uint64_t received;
};

/* Queues one frame; f->len is set from the parts.  0, also when it had to go to the backlog (then link->full);
 * -ENOBUFS: the backlog is at its limit; the frame was not taken. */
static inline int link_send(struct link *l, const struct frame *f, const struct str *parts, int n)
{
	return l->ops->send(l, f, parts, n);
}

/* True: a payload of this length is better lent than copied. */
static inline bool link_lends(const struct link *l, size_t len)
{
	enum { WORTH_IT = 8192 };

	return len >= WORTH_IT && l->ops->lend && l->on_returned;
}

/* As link_send(), but the payload stays where it stands, unchanged, until on_returned(token) or until the link is
 * closed.  Not taken (-ENOBUFS): nothing was borrowed.  Only where link_lends(). */
static inline int link_lend(struct link *l, const struct frame *f, struct str payload, uint64_t token)
{
	return l->ops->lend(l, f, payload, token);
}

/* Makes what was queued visible and rings the peer's bell if it sleeps; once per loop turn, before sleeping. */
static inline void link_flush(struct link *l)
{
	l->ops->flush(l);
}

/* Delivers what the peer published, within a budget per call.  1: there is more; 0: empty; -EBADMSG (or what on_frame
 * returned): the peer must be put down. */
static inline int link_drain(struct link *l)
{
	return l->ops->drain(l);
}

/* True: nothing waits here, sleeping is safe (the asleep word is already set by the owner). */
static inline bool link_may_sleep(struct link *l)
{
	return l->ops->sleep(l);
}

static inline void link_close(struct link *l)
{
	if (l)
		l->ops->close(l);
}
