/* A link inside one process (base mode): two queues of frames, drained once per turn. */
#pragma once

#include "ipc/link.h"

struct link_local_opts {
	uint64_t queue_max; /* bytes after which `full` is set */
	uint64_t hard_max;  /* bytes at which send refuses */
	unsigned drain_frames;
	uint64_t drain_bytes;
};

/* Makes both ends; closing one empties its direction, closing both frees. */
void link_local_new(const struct link_local_opts *o, struct link **reactor_end, struct link **worker_end);
