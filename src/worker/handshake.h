/* Requests that ask for a WebSocket (RFC 6455 §4.2): checked, shown to the app's handshake handler, and answered.
 *
 * The status of their answer is 101 from the beginning; whoever sets another one refuses.
 */
#pragma once

#include "lua/sched.h"

struct request;

/* True: it is no business of the request handler, and is being answered or has been. */
bool handshake_take(struct request *r);
/* The server accepts: 101, with the fields that the app has set.  The connection is told of by OPEN. */
void handshake_accept(struct request *r);
/* res:write or, with `end`, res:finish with status 101: the results for Lua. */
int handshake_finish(struct request *r, lua_State *L, bool end);
