/* A link over the rings of a channel (process mode). */
#pragma once

#include "ipc/chan.h"
#include "ipc/link.h"

struct link_ring_opts {
	struct ring_tx tx;
	struct ring_rx rx;
	int peer_bell; /* borrowed */
	const _Atomic uint32_t *peer_asleep;
	enum frame_dir receives; /* FRAME_DOWN at the worker, FRAME_UP at the reactor */
	uint64_t backlog_max;    /* bytes that may wait behind a full ring */
	uint64_t whole_max;      /* longest joined frame; longer: -EBADMSG */
	unsigned drain_frames;   /* budget of one drain, frames and bytes; 0: 256 and 1 MiB */
	uint64_t drain_bytes;
};

struct link *link_ring_new(const struct link_ring_opts *o);

/* After the peer died: frames that it never took (at or behind its last tail), in order, then those of the backlog.
 * Stops early when fn returns false. */
void link_ring_each_untaken(struct link *l, bool (*fn)(void *ctx, const struct frame *f, struct str payload),
                            void *ctx);
