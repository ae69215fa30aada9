#include "ipc/ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { FRAME_PAD = 0xffff }; /* fills the tail end of the buffer */
static_assert(sizeof(struct frame) == RING_ALIGN, "a pad header must fit any gap");

static uint32_t frame_size(uint32_t len)
{
	return (uint32_t)sizeof(struct frame) + ((len + RING_ALIGN - 1) & ~(RING_ALIGN - 1));
}

static uint32_t room_to_edge(uint64_t pos, uint32_t cap)
{
	return cap - (uint32_t)(pos & (cap - 1));
}

static bool has_room(struct ring_tx *tx, uint32_t need)
{
	if (tx->cap - (tx->head - tx->tail_seen) >= need)
		return true;
	tx->tail_seen = atomic_load_explicit(&tx->peer->tail, memory_order_acquire);
	return tx->cap - (tx->head - tx->tail_seen) >= need;
}

static void put_pad(struct ring_tx *tx, uint32_t edge)
{
	struct frame pad = { .len = edge - (uint32_t)sizeof pad, .type = FRAME_PAD };

	memcpy(tx->data + (tx->head & (tx->cap - 1)), &pad, sizeof pad);
	tx->head += edge;
}

/* A ring that is emptied by small batches starts again at its beginning: light traffic then lives in a few pages, which stay
 * in the caches, and the others are never touched.  Until the pad has been read only what lies before it is free, so this
 * is for traffic that needs much less. */
static void rewind_if_light(struct ring_tx *tx, uint32_t size)
{
	uint32_t offset = (uint32_t)(tx->head & (tx->cap - 1));
	bool light = tx->batch <= tx->cap / 16 && size <= tx->cap / 16;

	tx->batch = 0;
	if (!light || offset < tx->cap / 8)
		return;
	tx->tail_seen = atomic_load_explicit(&tx->peer->tail, memory_order_acquire);
	if (tx->tail_seen == tx->head)
		put_pad(tx, tx->cap - offset);
}

void *ring_reserve(struct ring_tx *tx, const struct frame *f)
{
	uint32_t size = frame_size(f->len);

	if (tx->batch)
		rewind_if_light(tx, size);

	uint32_t edge = room_to_edge(tx->head, tx->cap);
	uint32_t need = size <= edge ? size : edge + size;

	if (!has_room(tx, need)) {
		/* Ask for a bell, then look once more: the consumer may have
		 * released between our two looks. */
		atomic_store_explicit(&tx->own->want, 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		if (!has_room(tx, need))
			return NULL;
	}
	if (atomic_load_explicit(&tx->own->want, memory_order_relaxed))
		atomic_store_explicit(&tx->own->want, 0, memory_order_relaxed);

	if (size > edge)
		put_pad(tx, edge);

	uint8_t *at = tx->data + (tx->head & (tx->cap - 1));

	memcpy(at, f, sizeof *f);
	tx->head += size;
	return at + sizeof *f;
}

int ring_put(struct ring_tx *tx, const struct frame *f, const void *payload)
{
	if (f->len > ring_payload_max(tx->cap))
		return -EMSGSIZE;

	void *at = ring_reserve(tx, f);

	if (!at)
		return -EAGAIN;
	if (f->len)
		memcpy(at, payload, f->len);
	return 0;
}

bool ring_publish(struct ring_tx *tx)
{
	uint64_t before = atomic_load_explicit(&tx->own->head, memory_order_relaxed);

	if (before == tx->head)
		return false;
	tx->batch = tx->head - before;
	atomic_store_explicit(&tx->own->head, tx->head, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with the sleeper's */
	return true;
}

/* 1: `*f` holds a sound header at `pos`; 0: nothing there; -EBADMSG. */
static int read_header(const struct ring_rx *rx, uint64_t pos, uint64_t head, struct frame *f)
{
	uint64_t avail = head - pos;
	uint32_t edge = room_to_edge(pos, rx->cap);

	if (avail == 0)
		return 0;
	if (avail > rx->cap || avail < sizeof *f || edge < sizeof *f)
		return -EBADMSG;
	memcpy(f, rx->data + (pos & (rx->cap - 1)), sizeof *f);
	if (f->len > rx->cap - sizeof *f)
		return -EBADMSG;
	if (frame_size(f->len) > avail || frame_size(f->len) > edge)
		return -EBADMSG;
	return 1;
}

int ring_peek(struct ring_rx *rx, struct frame *f, const uint8_t **payload)
{
	uint64_t head = atomic_load_explicit(&rx->peer->head, memory_order_acquire);
	uint64_t pos = rx->tail;
	int r = read_header(rx, pos, head, f);

	if (r == 1 && f->type == FRAME_PAD) {
		if (frame_size(f->len) != room_to_edge(pos, rx->cap))
			return -EBADMSG;
		pos += frame_size(f->len);
		r = read_header(rx, pos, head, f);
		if (r == 0 || (r == 1 && f->type == FRAME_PAD))
			return -EBADMSG; /* a pad is always followed by a frame */
	}
	if (r == 1) {
		*payload = rx->data + (pos & (rx->cap - 1)) + sizeof *f;
		rx->next = pos + frame_size(f->len);
	}
	return r;
}

bool ring_release(struct ring_rx *rx)
{
	rx->tail = rx->next;
	atomic_store_explicit(&rx->own->tail, rx->tail, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with ring_put's */
	return atomic_load_explicit(&rx->peer->want, memory_order_relaxed);
}
