/* Bytes to compressed bytes: gzip by zlib, and brotli where the library is there. */
#pragma once

#include "base/buf.h"
#include "proto/accept_encoding.h"

/* Bits of the codings that this build has. */
extern const unsigned encoder_codings;

struct encoder;

/* For a body that comes in pieces; level is 1 … 9.  NULL: no memory. */
struct encoder *encoder_new(enum http_coding coding, int level);
/* NULL is ignored. */
void encoder_free(struct encoder *e);
/* The next piece, all of which can be read by the peer at once; `end`: the last.  -ENOMEM. */
int encoder_run(struct encoder *e, struct str in, bool end, struct buf **out);
/* A whole body at once.  NULL: no memory, or it does not get shorter. */
struct buf *encoder_whole(enum http_coding coding, int level, struct str in);
/* Frees what is kept for the next body. */
void encoder_trim(void);
