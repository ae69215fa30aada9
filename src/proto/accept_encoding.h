/* Which coding of a body a client wants (RFC 9110 §12.5.3). */
#pragma once

#include "proto/http_head.h"

enum http_coding { CODING_IDENTITY, CODING_GZIP, CODING_BROTLI, CODINGS };

/* "gzip", "br" */
struct str http_coding_name(enum http_coding coding);
/* Of the codings whose bits (1 << enum http_coding) are in `offered`, the one with the highest weight; the later one of several
 * that are equal.  IDENTITY if the client says nothing, or takes none of them. */
enum http_coding accept_encoding_choose(const struct http_view *v, unsigned offered);
