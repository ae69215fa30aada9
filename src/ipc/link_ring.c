#include "ipc/link_ring.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/mem.h"
#include "sys/bell.h"

#include <errno.h>
#include <stdlib.h>

enum { DRAIN_FRAMES = 256, DRAIN_BYTES = 1 << 20 };

/* A frame that waits behind a full ring; always a piece that fits. */
struct waiting {
	struct list link;
	struct frame f;
	char payload[];
};

struct link_ring {
	struct link base;
	struct link_ring_opts o;
	struct ring_tx tx;
	struct ring_rx rx;
	struct list backlog; /* struct waiting */
	uint64_t backlog_bytes;
	struct buf *whole; /* pieces of a frame that must be whole */
	struct frame whole_head;
	bool peer_wants; /* the producer on the other side waits for space */
};

static struct link_ring *self(const struct link *l)
{
	return LS_CONTAINER_OF(l, struct link_ring, base);
}

/* Types whose payload has a meaning only as a whole; the rest is a stream of bytes. */
static bool must_be_whole(unsigned type)
{
	return type != FRAME_BODY && type != FRAME_SEND && type != FRAME_PUSH && type != FRAME_RESPONSE_BODY;
}

/* ---- sending ---------------------------------------------------------------------------------------------------------- */

static void copy_parts(char *to, const struct str *parts, int n, size_t skip, size_t len)
{
	for (int i = 0; i < n && len > 0; i++) {
		struct str part = str_skip(parts[i], skip);

		skip -= LS_MIN(skip, parts[i].len);
		part = str_take(part, len);
		if (part.len)
			memcpy(to, part.p, part.len);
		to += part.len;
		len -= part.len;
	}
}

static int keep(struct link_ring *l, const struct frame *f, const struct str *parts, int n, size_t skip)
{
	/* Without a notice the other side would wait for ever, and it is small: it is never lost for want of memory. */
	struct waiting *w = frame_is_notice(f->type) ? xalloc(sizeof *w + f->len) : try_alloc(sizeof *w + f->len);

	if (!w)
		return -ENOBUFS;
	w->f = *f;
	copy_parts(w->payload, parts, n, skip, f->len);
	list_append(&l->backlog, &w->link);
	l->backlog_bytes += sizeof *w + f->len;
	l->base.full = true;
	return 0;
}

static int put_piece(struct link_ring *l, const struct frame *f, const struct str *parts, int n, size_t skip)
{
	if (list_empty(&l->backlog)) {
		char *at = ring_reserve(&l->tx, f);

		if (at) {
			copy_parts(at, parts, n, skip, f->len);
			return 0;
		}
	}
	return keep(l, f, parts, n, skip);
}

static void drop_waiting(struct link_ring *l, struct waiting *w)
{
	l->backlog_bytes -= sizeof *w + w->f.len;
	list_del(&w->link);
	free(w);
}

/* There was no memory for a piece: those before it, of which none is published, must not be seen either. */
static void take_back(struct link_ring *l, uint64_t head, const struct list *last)
{
	l->tx.head = head;
	while (l->backlog.prev != last)
		drop_waiting(l, LS_CONTAINER_OF(l->backlog.prev, struct waiting, link));
}

static int ring_link_send(struct link *base, const struct frame *f, const struct str *parts, int n)
{
	struct link_ring *l = self(base);
	uint32_t piece_max = ring_payload_max(l->tx.cap);
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].len;
	if (l->backlog_bytes + len > (frame_is_notice(f->type) ? 2 : 1) * l->o.backlog_max)
		return -ENOBUFS;

	uint64_t head = l->tx.head;
	struct list *last = l->backlog.prev;
	size_t done = 0;

	do {
		struct frame piece = *f;

		piece.len = (uint32_t)LS_MIN(len - done, (size_t)piece_max);
		if (done + piece.len < len)
			piece.flags = (uint16_t)((piece.flags | FRAME_MORE) & ~FRAME_END);

		if (done)
			piece.flags |= FRAME_REST;

		int r = put_piece(l, &piece, parts, n, done);

		if (r < 0) {
			take_back(l, head, last);
			return r;
		}
		done += piece.len;
	} while (done < len);
	base->sent++;
	return 0;
}

/* Moves what waits into the ring, as far as there is room. */
static void move_backlog(struct link_ring *l)
{
	for (struct list *it; (it = list_first(&l->backlog));) {
		struct waiting *w = LS_CONTAINER_OF(it, struct waiting, link);
		void *at = ring_reserve(&l->tx, &w->f);

		if (!at)
			return;
		if (w->f.len)
			memcpy(at, w->payload, w->f.len);
		drop_waiting(l, w);
	}
}

static void publish(struct link_ring *l)
{
	if (ring_publish(&l->tx) && atomic_load_explicit(l->o.peer_asleep, memory_order_relaxed)) {
		bell_ring(l->o.peer_bell);
		l->peer_wants = false;
	}
	if (l->peer_wants) {
		bell_ring(l->o.peer_bell);
		l->peer_wants = false;
	}
}

static void ring_link_flush(struct link *base)
{
	struct link_ring *l = self(base);

	if (base->full)
		move_backlog(l);
	publish(l);
	if (base->full && list_empty(&l->backlog)) {
		base->full = false;
		if (base->on_room)
			base->on_room(base->ctx);
		publish(l);
	}
}

/* ---- receiving -------------------------------------------------------------------------------------------------------- */

/* Adds a piece; 1: the frame in l->whole_head is complete; 0: more to come; negative: the peer broke the rules. */
static int join(struct link_ring *l, const struct frame *f, struct str payload)
{
	bool more = f->flags & FRAME_MORE;

	if (!l->whole)
		l->whole_head = *f;
	else if (l->whole_head.type != f->type || l->whole_head.conn != f->conn || l->whole_head.stream != f->stream)
		return -EBADMSG;

	int r = buf_append(&l->whole, payload, l->o.whole_max);

	if (r < 0)
		return r == -EMSGSIZE ? -EBADMSG : r;
	l->whole_head.flags = f->flags;
	return !more;
}

static int deliver(struct link_ring *l, const struct frame *f, struct str payload)
{
	struct link *base = &l->base;
	int r = frame_check(f, l->o.receives);

	if (r < 0)
		return r;
	if (l->whole || (must_be_whole(f->type) && f->flags & FRAME_MORE)) {
		r = join(l, f, payload);
		if (r <= 0)
			return r;

		struct buf *whole = l->whole;

		l->whole = NULL;
		l->whole_head.len = whole->len;
		r = base->on_frame(base->ctx, &l->whole_head, buf_str(whole));
		buf_unref(whole);
	} else {
		r = base->on_frame(base->ctx, f, payload);
	}
	base->received++;
	return r;
}

static int ring_link_drain(struct link *base)
{
	struct link_ring *l = self(base);
	unsigned frames = l->o.drain_frames;
	uint64_t bytes = 0;
	struct frame f;
	const uint8_t *payload;

	while (frames-- > 0 && bytes < l->o.drain_bytes) {
		int r = ring_peek(&l->rx, &f, &payload);

		if (r <= 0)
			return r;

		r = deliver(l, &f, str_make(payload, f.len));
		if (ring_release(&l->rx))
			l->peer_wants = true;
		if (r < 0)
			return r;
		bytes += f.len;
	}
	return 1;
}

static bool ring_link_may_sleep(struct link *base)
{
	struct link_ring *l = self(base);
	struct frame f;
	const uint8_t *payload;

	return ring_peek(&l->rx, &f, &payload) == 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void ring_link_close(struct link *base)
{
	struct link_ring *l = self(base);

	for (struct list *it; (it = list_shift(&l->backlog));)
		free(LS_CONTAINER_OF(it, struct waiting, link));
	buf_unref(l->whole);
	free(l);
}

static const struct link_ops ring_link_ops = {
	.send = ring_link_send,
	.flush = ring_link_flush,
	.drain = ring_link_drain,
	.sleep = ring_link_may_sleep,
	.close = ring_link_close,
};

struct link *link_ring_new(const struct link_ring_opts *o)
{
	struct link_ring *l = xzalloc(sizeof *l);

	l->base.ops = &ring_link_ops;
	l->base.piece_max = ring_payload_max(o->tx.cap);
	l->o = *o;
	l->tx = o->tx;
	l->rx = o->rx;
	if (l->o.drain_frames == 0)
		l->o.drain_frames = DRAIN_FRAMES;
	if (l->o.drain_bytes == 0)
		l->o.drain_bytes = DRAIN_BYTES;
	list_init(&l->backlog);
	return &l->base;
}

/* The peer's tail, bounded to what was written: a frame at a lower position has been taken. */
static uint64_t taken(const struct link_ring *l)
{
	uint64_t tail = atomic_load_explicit(&l->tx.peer->tail, memory_order_acquire);

	/* The peer's word: one that cannot be true counts as "everything". */
	return l->tx.head - tail <= l->tx.cap ? tail : l->tx.head;
}

void link_ring_each_untaken(struct link *base, bool (*fn)(void *ctx, const struct frame *f, struct str payload),
                            void *ctx)
{
	struct link_ring *l = self(base);
	struct frame f;
	const uint8_t *payload;

	ring_publish(&l->tx);

	struct ring_rx own = {
		.peer = l->tx.own,
		.data = l->tx.data,
		.cap = l->tx.cap,
		.tail = taken(l),
	};

	while (ring_peek(&own, &f, &payload) == 1) {
		if (!fn(ctx, &f, str_make(payload, f.len)))
			return;
		own.tail = own.next;
	}
	LS_LIST_EACH (it, &l->backlog) {
		struct waiting *w = LS_CONTAINER_OF(it, struct waiting, link);

		if (!fn(ctx, &w->f, str_make(w->payload, w->f.len)))
			return;
	}
}
