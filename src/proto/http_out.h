/* Heads of answers, from an image that a worker wrote to bytes. */
#pragma once

#include "base/chain.h"
#include "proto/http_head.h"

struct http_out {
	uint64_t now_ms;
	uint64_t length; /* Content-Length; UINT64_MAX: none */
	bool chunked;
	bool server;     /* Server: luaserv, unless the app says otherwise */
	bool keep_alive; /* must be said, since the peer speaks HTTP/1.0 */
	bool close;      /* Connection: close; set when the app wants it */
	bool upgrade;    /* a 101: Connection: Upgrade */
};

/* Appends the head of a checked image.  Date, Server, Content-Length, Transfer-Encoding and Connection are
 * ours. -EBADMSG: the status or a field cannot be sent; -ENOMEM.  Nothing is appended then. */
int http_out_head(struct chain *out, const struct http_view *v, struct http_out *o);

/* Appends the last chunk of a body and, from a checked image, the fields that follow it (RFC 9112 §7.1.2).  As http_out_head(). */
int http_out_trailers(struct chain *out, const struct http_view *v);

/* Writes `value` in decimal or hexadecimal; returns the end.  At most 20 bytes. */
char *http_out_decimal(char *p, uint64_t value);
char *http_out_hex(char *p, uint64_t value);
