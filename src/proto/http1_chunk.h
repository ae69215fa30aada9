/* The chunked coding of a request body (RFC 9112 §7.1), taken apart.  Zeroed: at the start. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct http1_chunk {
	uint64_t left;  /* of the chunk's data; while its size is read: that size */
	uint32_t extra; /* bytes beside the data, paid off by data: bounds extensions, trailers and tiny chunks */
	uint8_t digits; /* of the size so far */
	uint8_t state;
};

/* Eats up to the end of the next run of data, or all there is; returns how many bytes.  `*data` is that run,
 * perhaps empty.  -EBADMSG: malformed. */
ssize_t http1_chunk_next(struct http1_chunk *c, struct str in, struct str *data);

/* The last chunk and the trailers have been eaten. */
bool http1_chunk_done(const struct http1_chunk *c);
