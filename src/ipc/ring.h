/* A one-way, lock-free byte ring between two processes.
 *
 * Every shared word has exactly one writer.  The producer owns `head`, `want`
 * and the data; the consumer owns `tail`.  Each side maps the other side's
 * words read-only, so a process that has gone mad can garble only what it
 * sends.  The consumer therefore believes nothing it reads until it is
 * checked, and copies a frame header before it looks at it.
 */
#pragma once

#include "ipc/frame.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_ALIGN 32u /* = sizeof(struct frame): a pad header always fits */

/* The producer's words, mapped read-only by the consumer. */
struct ring_head {
	alignas(64) _Atomic uint64_t head; /* bytes ever published */
	_Atomic uint32_t want;             /* producer waits for space */
};

/* The consumer's word, mapped read-only by the producer. */
struct ring_tail {
	alignas(64) _Atomic uint64_t tail; /* bytes ever released */
};

struct ring_tx {
	struct ring_head *own;
	const struct ring_tail *peer;
	uint8_t *data;
	uint32_t cap;       /* power of two */
	uint64_t head;      /* written, not yet published */
	uint64_t tail_seen; /* last `tail` we read; spares a cache miss */
	uint64_t batch;     /* bytes of the last publication, until something is put; then 0 */
};

struct ring_rx {
	struct ring_tail *own;
	const struct ring_head *peer;
	const uint8_t *data;
	uint32_t cap;
	uint64_t tail; /* released up to here */
	uint64_t next; /* end of the frame on loan */
};

/* The longest payload of one frame: with a pad before it that is nearly as long, it still fits. */
static inline uint32_t ring_payload_max(uint32_t cap)
{
	return cap / 8 * 3;
}

/* Takes room for the frame and copies its header; the caller fills f->len bytes before it publishes.  NULL: no room now,
 * as with ring_put().  f->len is at most ring_payload_max(). */
void *ring_reserve(struct ring_tx *tx, const struct frame *f);

/* Copies in one frame.  -EAGAIN: no room now, and `want` is set so that the
 * consumer rings our bell when there is.  -EMSGSIZE: it can never fit. */
int ring_put(struct ring_tx *tx, const struct frame *f, const void *payload);

/* Makes everything put so far visible.  True: the caller must look at the
 * consumer's `asleep` flag and perhaps ring its bell. */
bool ring_publish(struct ring_tx *tx);

/* Lends the next frame: `*f` is a private copy, `*payload` points into the
 * ring until ring_release().  1: a frame; 0: empty; -EBADMSG: the producer
 * broke the rules and must be put down. */
int ring_peek(struct ring_rx *rx, struct frame *f, const uint8_t **payload);

/* Gives back the frame last lent.  True: the producer waits for space. */
bool ring_release(struct ring_rx *rx);
