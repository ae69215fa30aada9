/* The protocol that an app wrote in Lua, at work on one connection: what has come and is not yet part of a message.
 *
 * Messages are cut one at a time, when the handler of the one before has ended, so that what waits is bytes, which count for
 * max_queued_bytes.
 */
#pragma once

#include "worker/session.h"

struct protocol;

/* NULL: the protocol of the session's port is none of Lua's. */
struct protocol *protocol_new(struct session *s);
/* NULL is ignored. */
void protocol_free(struct protocol *p);
/* Takes the bytes of the receive events that are first in the session's list.  -ENOMEM. */
int protocol_take(struct protocol *p);
/* Cuts the next message; true: its value is on top of the worker's stack.  False: it is not whole, or input or decode failed, and
 * then the connection is being closed. */
bool protocol_next(struct protocol *p);
/* Bytes of which no message has been made; NULL: none. */
size_t protocol_size(const struct protocol *p);
/* Puts the bytes for the value at stack index `idx` in its place, as the protocol of that session, or of a connection that is not known
 * here (NULL), has them.  0, or the code of why that cannot be said.  Raises what encode raises. */
int protocol_encode(struct worker *w, const struct session *s, lua_State *L, int idx, const char *what);

/* RECALL: this connection's next messages are a successor's. */
void protocol_on_recall(struct worker *w, const struct frame *f);
/* Gives the rest back, if it was asked for. */
void protocol_return(struct session *s);
/* The same for all connections, although their handlers run: the process ends. */
void protocol_return_all(struct worker *w);
