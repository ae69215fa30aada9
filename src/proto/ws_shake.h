/* The opening handshake of WebSocket, the server's side (RFC 6455 §4.2). */
#pragma once

#include "proto/http_head.h"

enum { WS_ACCEPT_LENGTH = 28, WS_VERSION = 13 };

/* True: the request asks for this protocol to be spoken from here on, in the right way or not. */
bool ws_shake_is_asked(const struct http_view *v);
/* 0: it asks in the way it must; else the status to refuse it with: 400, or 426 for a version that is not ours. */
int ws_shake_check(const struct http_view *v);
/* Sec-WebSocket-Accept for a request that passed the check. */
struct str ws_shake_accept(const struct http_view *v, char out[WS_ACCEPT_LENGTH]);
/* True: the client offers this sub-protocol. */
bool ws_shake_offers(const struct http_view *v, struct str protocol);
