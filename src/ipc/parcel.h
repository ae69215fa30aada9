/* Frames between worker processes of base mode: several in one datagram, a large one with its payload in a sealed memfd.
 *
 *   struct parcel_head | struct frame, payload, padding to 8 bytes | …
 *
 * A datagram with a descriptor has one frame, and padding up to PARCEL_MAX.
 *
 * What a process gets was written by another one that runs the app's code, so it is checked like everything from a worker.
 */
#pragma once

#include "ipc/frame.h"

/* Who sends. */
struct parcel_head {
	uint32_t slot;
	uint32_t unused;
	uint64_t generation;
};

enum {
	PARCEL_MAX = 64 * 1024,                /* bytes of a datagram */
	PARCEL_PAYLOAD_MAX = PARCEL_MAX - 128, /* a longer payload travels by memfd */
};

/* A datagram being filled. */
struct parcel {
	size_t len;
	size_t weight; /* bytes that it keeps from others: those of a payload that travels by memfd included */
	unsigned frames;
	int fd; /* payload of its only frame; -1: none */
	char data[PARCEL_MAX] __attribute__((aligned(8)));
};

void parcel_begin(struct parcel *p, const struct parcel_head *from);
/* Adds a frame; f->len is set from the parts.  -ENOBUFS: it does not fit, send what is there first; other negatives: no descriptor or
 * memory for a large one. */
int parcel_add(struct parcel *p, const struct frame *f, const struct str *parts, int n);

/* Calls `on_frame` for each frame of a datagram that came with descriptor `fd` (-1: none, lent).  -EBADMSG: it is malformed from some
 * point on; what came before was handed on. */
int parcel_read(struct str datagram, int fd, size_t whole_max, struct parcel_head *from,
                void (*on_frame)(void *ctx, const struct parcel_head *from, const struct frame *f, struct str payload),
                void *ctx);
