#include "ipc/link_local.h"

#include "base/bits.h"
#include "base/list.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

/* A queue is a list of chunks; each frame lies whole in one chunk, header first, aligned to the header. */

enum { CHUNK_SIZE = 136 * 1024, SPARES_MAX = 8, DRAIN_FRAMES = 1024, DRAIN_BYTES = 4 << 20, PIECE_MAX = 120 * 1024 };

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

static struct chunk *add_chunk(struct queue *q, size_t size)
{
	struct list *spare = size <= CHUNK_SIZE ? list_shift(&q->spares) : NULL;
	struct chunk *c;

	if (spare) {
		c = LS_CONTAINER_OF(spare, struct chunk, link);
		q->n_spares--;
	} else {
		size_t cap = LS_MAX(size, (size_t)CHUNK_SIZE);

		c = try_alloc(sizeof *c + cap);
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

static char *reserve(struct queue *q, size_t size)
{
	struct chunk *c = list_empty(&q->chunks) ? NULL : LS_CONTAINER_OF(q->chunks.prev, struct chunk, link);

	if (!c || c->cap - c->len < size)
		c = add_chunk(q, size);
	if (!c)
		return NULL;

	char *at = c->data + c->len;

	c->len += (uint32_t)size;
	q->bytes += size;
	return at;
}

static int local_send(struct link *base, const struct frame *f, const struct str *parts, int n)
{
	struct link_local *l = self(base);

	if (!l->peer)
		return 0; /* nobody is left to hear it */

	struct queue *q = &l->peer->in;
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].len;
	if (q->bytes + len > (frame_is_notice(f->type) ? 2 : 1) * l->o.hard_max)
		return -ENOBUFS;

	char *at = reserve(q, align_up(sizeof *f + len, sizeof *f));

	if (!at)
		return -ENOBUFS;

	struct frame head = *f;

	head.len = (uint32_t)len;
	memcpy(at, &head, sizeof head);
	at += sizeof head;
	for (int i = 0; i < n; i++) {
		if (parts[i].len)
			memcpy(at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	if (q->bytes > l->o.queue_max)
		base->full = true;
	base->sent++;
	return 0;
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
			const char *payload = c->data + c->off + sizeof f;

			memcpy(&f, c->data + c->off, sizeof f);

			uint32_t size = (uint32_t)align_up(sizeof f + f.len, sizeof f);

			c->off += size;
			q->bytes -= size;
			bytes += size;
			base->received++;

			int r = base->on_frame(base->ctx, &f, str_make(payload, f.len));

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

	if (l->peer)
		l->peer->peer = NULL;
	for (struct list *it; (it = list_shift(&l->in.chunks));)
		free(LS_CONTAINER_OF(it, struct chunk, link));
	for (struct list *it; (it = list_shift(&l->in.spares));)
		free(LS_CONTAINER_OF(it, struct chunk, link));
	free(l);
}

static const struct link_ops local_ops = {
	.send = local_send,
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
