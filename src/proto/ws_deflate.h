/* permessage-deflate (RFC 7692): what both sides agree on, and messages out of and into it.
 *
 * Without context takeover every message stands alone, so one pair of zlib states serves all connections of a thread; with it each
 * connection has its own, which take about 44 KB (inflate) and 270 KB (deflate).
 */
#pragma once

#include "base/buf.h"
#include "conf/settings.h"
#include "proto/http_head.h"

/* The terms of a connection. */
struct ws_terms {
	bool server_resets;  /* server_no_context_takeover */
	bool client_resets;  /* client_no_context_takeover */
	uint8_t server_bits; /* of our window, 9 … 15 */
	bool bits_said;      /* the client asked for that many, so the answer names them */
};

enum { WS_TERMS_TEXT_MAX = 128 };

/* The first of the client's offers that the port can accept; false: none. */
bool ws_terms_choose(const struct http_view *v, const struct port *port, struct ws_terms *out);
/* The value of the answer's Sec-WebSocket-Extensions. */
struct str ws_terms_text(const struct ws_terms *t, char out[WS_TERMS_TEXT_MAX]);
/* Reads that value back.  -EBADMSG. */
int ws_terms_parse(struct str value, struct ws_terms *out);

struct ws_deflate;

/* NULL: no memory. */
struct ws_deflate *ws_deflate_new(const struct ws_terms *t, const struct port *port);
/* NULL is ignored. */
void ws_deflate_free(struct ws_deflate *d);
/* A whole message of the peer, which becomes at most `max` bytes.  -EMSGSIZE: more; -EBADMSG: it is broken; -ENOMEM. */
int ws_deflate_expand(struct ws_deflate *d, struct str in, size_t max, struct buf **out);
/* A message, or one of its fragments (`last`: the last), as the peer reads it.  -ENOMEM. */
int ws_deflate_shrink(struct ws_deflate *d, struct str in, bool last, struct buf **out);
/* The peer has been given, or not given, something that shrink() does not know of: what follows will not refer to what was before. */
void ws_deflate_forget(struct ws_deflate *d);
/* False: what is shrunk once for many cannot be read by this peer, whose window is smaller than usual. */
bool ws_deflate_is_usual(const struct ws_deflate *d);

/* Frees this thread's zlib states. */
void ws_deflate_trim(void);
