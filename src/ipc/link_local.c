#include "ipc/link_local.h"

#include "base/bits.h"
#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

/* A queue is a list of chunks; each frame lies whole in one chunk, header first, aligned to the header.  Of a frame whose
 * payload is lent, a struct loan stands there in its place. */

enum { CHUNK_SIZE = 136 * 1024, SPARES_MAX = 8, DRAIN_FRAMES = 1024, DRAIN_BYTES = 4 << 20, PIECE_MAX = 120 * 1024 };

enum { LENT = 1 << 15 }; /* in frame.flags, while the frame is in a queue */

struct loan {
	const char *bytes;
	char *own; /* a copy made when the lender went; NULL: they are the lender's */
	uint64_t token;
};

struct chunk {
	struct list link;
	uint32_t cap;
	uint32_t len;
	uint32_t off; /* eaten */
	char data[] __attribute__((aligned(32)));
};

struct queue {
	struct list chunks;
	struct list spares; /* emptied chunks of the usual size */
	unsigned n_spares;
	uint64_t bytes;
};

struct link_local {
	struct link base;
	struct link_local *peer; /* NULL: closed */
	struct queue in;         /* the peer appends, this end drains */
	bool last; /* its owner's hook runs after the peer's, so it answers for both before the loop sleeps */
	struct link_local_opts o;
};

static struct link_local *self(const struct link *l)
{
	return LS_CONTAINER_OF(l, struct link_local, base);
}

/* `must`: there is no way on without it. */
static struct chunk *add_chunk(struct queue *q, size_t size, bool must)
{
	struct list *spare = size <= CHUNK_SIZE ? list_shift(&q->spares) : NULL;
	struct chunk *c;

	if (spare) {
		c = LS_CONTAINER_OF(spare, struct chunk, link);
		q->n_spares--;
	} else {
		size_t cap = LS_MAX(size, (size_t)CHUNK_SIZE);

		c = must ? xalloc(sizeof *c + cap) : try_alloc(sizeof *c + cap);
		if (!c)
			return NULL;
		c->cap = (uint32_t)cap;
	}
	c->len = 0;
	c->off = 0;
	list_append(&q->chunks, &c->link);
	return c;
}

static void drop_chunk(struct queue *q, struct chunk *c)
{
	list_del(&c->link);
	if (c->cap != CHUNK_SIZE || q->n_spares == SPARES_MAX) {
		free(c);
		return;
	}
	list_append(q->spares.next, &c->link); /* in front: the one used last is in the caches */
	q->n_spares++;
}

static char *reserve(struct queue *q, size_t size, bool must)
{
	struct chunk *c = list_empty(&q->chunks) ? NULL : LS_CONTAINER_OF(q->chunks.prev, struct chunk, link);

	if (!c || c->cap - c->len < size)
		c = add_chunk(q, size, must);
	if (!c)
		return NULL;

	char *at = c->data + c->len;

	c->len += (uint32_t)size;
	return at;
}

static size_t size_in_chunk(const struct frame *f)
{
	return align_up(sizeof *f + (f->flags & LENT ? sizeof(struct loan) : f->len), sizeof *f);
}

/* What a frame counts for in the queue's bounds, wherever its payload stands. */
static size_t weight(const struct frame *f)
{
	return size_in_chunk(f) + (f->flags & LENT ? f->len : 0);
}

/* Puts the header into the peer's queue; where the payload, or the loan, has its place.  NULL: refused. */
static char *put_head(struct link_local *l, const struct frame *head)
{
	struct queue *q = &l->peer->in;
	bool notice = frame_is_notice(head->type);

	if (q->bytes + head->len > (notice ? 2 : 1) * l->o.hard_max)
		return NULL;

	/* Without a notice the other side would wait for ever, and it is small: it is never lost for want of memory. */
	char *at = reserve(q, size_in_chunk(head), notice);

	if (!at)
		return NULL;
	memcpy(at, head, sizeof *head);
	q->bytes += weight(head);
	if (q->bytes > l->o.queue_max)
		l->base.full = true;
	l->base.sent++;
	return at + sizeof *head;
}

static int local_send(struct link *base, const struct frame *f, const struct str *parts, int n)
{
	struct link_local *l = self(base);
	struct frame head = *f;

	if (!l->peer)
		return 0; /* nobody is left to hear it */
	head.len = 0;
	for (int i = 0; i < n; i++)
		head.len += (uint32_t)parts[i].len;

	char *at = put_head(l, &head);

	if (!at)
		return -ENOBUFS;
	for (int i = 0; i < n; i++) {
		if (parts[i].len)
			memcpy(at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	return 0;
}

static int local_lend(struct link *base, const struct frame *f, struct str payload, uint64_t token)
{
	struct link_local *l = self(base);
	struct loan loan = { .bytes = payload.p, .token = token };
	struct frame head = *f;

	if (!l->peer) {
		base->on_returned(base->ctx, token);
		return 0;
	}
	head.len = (uint32_t)payload.len;
	head.flags |= LENT;

	char *at = put_head(l, &head);

	if (!at)
		return -ENOBUFS;
	memcpy(at, &loan, sizeof loan);
	return 0;
}

/* A copy for the frames that outlive their lender: what was sent before the end still arrives. */
static void keep_loan(const struct frame *f, char *at)
{
	struct loan loan;

	memcpy(&loan, at, sizeof loan);
	if (loan.own)
		return;
	loan.own = xalloc(f->len);
	memcpy(loan.own, loan.bytes, f->len);
	loan.bytes = loan.own;
	memcpy(at, &loan, sizeof loan);
}

/* Calls `todo` for each loan that waits in the queue. */
static void each_loan(struct queue *q, void (*todo)(const struct frame *f, char *at))
{
	for (struct list *it = q->chunks.next; it != &q->chunks; it = it->next) {
		struct chunk *c = LS_CONTAINER_OF(it, struct chunk, link);

		for (uint32_t off = c->off; off < c->len;) {
			struct frame f;

			memcpy(&f, c->data + off, sizeof f);
			if (f.flags & LENT)
				todo(&f, c->data + off + sizeof f);
			off += (uint32_t)size_in_chunk(&f);
		}
	}
}

static void free_loan(const struct frame *f LS_UNUSED, char *at)
{
	struct loan loan;

	memcpy(&loan, at, sizeof loan);
	free(loan.own);
}

/* True: its sender waits for room, and there is some. */
static bool has_room_to_tell(const struct link_local *l)
{
	return l->base.full && l->peer && l->peer->in.bytes <= l->o.queue_max / 2;
}

static void local_flush(struct link *base)
{
	struct link_local *l = self(base);

	if (!has_room_to_tell(l))
		return;
	base->full = false;
	if (base->on_room)
		base->on_room(base->ctx);
}

/* Hands one frame to the receiver, as it was before it was queued. */
static int deliver(struct link_local *l, struct frame f, char *at)
{
	struct loan loan = { .bytes = at };
	bool lent = f.flags & LENT;
	struct link *base = &l->base;

	if (lent)
		memcpy(&loan, at, sizeof loan);
	f.flags &= (uint16_t)~LENT;
	base->received++;

	int r = base->on_frame(base->ctx, &f, str_make(loan.bytes, f.len));

	if (loan.own)
		free(loan.own);
	else if (lent)
		l->peer->base.on_returned(l->peer->base.ctx, loan.token);
	return r;
}

static int local_drain(struct link *base)
{
	struct link_local *l = self(base);
	struct queue *q = &l->in;
	unsigned frames = l->o.drain_frames;
	uint64_t bytes = 0;

	for (struct list *it; (it = list_first(&q->chunks));) {
		struct chunk *c = LS_CONTAINER_OF(it, struct chunk, link);

		while (c->off < c->len) {
			if (frames-- == 0 || bytes >= l->o.drain_bytes)
				return 1;

			struct frame f;
			char *at = c->data + c->off + sizeof f;

			memcpy(&f, c->data + c->off, sizeof f);
			c->off += (uint32_t)size_in_chunk(&f);
			q->bytes -= weight(&f);
			bytes += weight(&f);

			int r = deliver(l, f, at);

			if (r < 0)
				return r;
		}
		drop_chunk(q, c);
	}
	return 0;
}

static bool local_may_sleep(struct link *base)
{
	const struct link_local *l = self(base);

	if (l->in.bytes > 0)
		return false;
	return !l->last || !l->peer || (l->peer->in.bytes == 0 && !has_room_to_tell(l->peer));
}

static void local_close(struct link *base)
{
	struct link_local *l = self(base);

	if (l->peer) {
		each_loan(&l->peer->in, keep_loan);
		l->peer->peer = NULL;
	}
	each_loan(&l->in, free_loan);
	for (struct list *it; (it = list_shift(&l->in.chunks));)
		free(LS_CONTAINER_OF(it, struct chunk, link));
	for (struct list *it; (it = list_shift(&l->in.spares));)
		free(LS_CONTAINER_OF(it, struct chunk, link));
	free(l);
}

static const struct link_ops local_ops = {
	.send = local_send,
	.lend = local_lend,
	.flush = local_flush,
	.drain = local_drain,
	.sleep = local_may_sleep,
	.close = local_close,
};

static struct link_local *new_end(const struct link_local_opts *o)
{
	struct link_local *l = xzalloc(sizeof *l);

	l->base.ops = &local_ops;
	l->base.piece_max = PIECE_MAX;
	l->o = *o;
	if (l->o.drain_frames == 0)
		l->o.drain_frames = DRAIN_FRAMES;
	if (l->o.drain_bytes == 0)
		l->o.drain_bytes = DRAIN_BYTES;
	list_init(&l->in.chunks);
	list_init(&l->in.spares);
	return l;
}

void link_local_new(const struct link_local_opts *o, struct link **reactor_end, struct link **worker_end)
{
	struct link_local *a = new_end(o);
	struct link_local *b = new_end(o);

	a->peer = b;
	b->peer = a;
	a->last = true;
	*reactor_end = &a->base;
	*worker_end = &b->base;
}
