/* WebSocket (RFC 6455): frames to messages and back, control frames, the end of a connection.
 *
 * A connection of such a port begins as HTTP/1.1 and becomes this when a worker has answered a handshake with 101.  Messages go to the
 * worker as DATA, whose value is the opcode; what it wants sent comes as PUSH.  Pings are answered here, and the peer's Close frame is.
 */
#pragma once

#include "proto/http_head.h"
#include "proto/proto.h"
#include "proto/ws_frame.h"

/* PUSH.arg: an opcode, and this for the last frame of a message. */
enum { WS_PUSH_LAST = 0x80 };

/* From here on the connection speaks WebSocket; `answer` is the head of the 101, which tells what was agreed on. -EBADMSG, -ENOMEM. */
int ws_begin(struct proto_conn *pc, const struct http_view *answer);
bool ws_is_spoken(const struct proto_conn *pc);

/* Frees what is kept for this thread. */
void ws_trim(void);
