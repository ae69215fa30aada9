/* WebSockets as the app sees them: messages in and out, and how a connection ended. */
#pragma once

#include "worker/session.h"

/* A message of `bytes` at stack index `idx` for a connection.  `last`: it ends with that.  Results as outflow_send(). */
int websocket_push(struct worker *w, lua_State *L, conn_id id, int idx, unsigned opcode, bool last);
/* Ends it with a Close frame.  0 or a code. */
int websocket_disconnect(struct worker *w, conn_id id, unsigned code, struct str reason);
/* outflow.emit of a WebSocket's session. */
ssize_t websocket_emit(struct outflow *of, struct str piece, bool end, const struct outflow_source *from);

/* All that was sent before has left: the Close frame follows. */
void websocket_say_close(struct session *s);
/* DATA with a Close frame is noted for the close event.  True: the app does not want to hear of it now. */
bool websocket_swallows(struct session *s, unsigned opcode, struct str payload);
/* Pushes the frame of a message event. */
void websocket_push_frame(lua_State *L, const struct session *s, unsigned opcode, struct str payload);
/* Replaces code and reason in the table of a close event, on top, by those of the Close frame. */
void websocket_explain_close(lua_State *L, const struct session *s, unsigned cause);
