/* Error codes that Lua sees as the third result; Swoole's numbers (swoole_errno), so that ported code keeps working. */
#pragma once

#include "lua/sched.h"

enum code {
	CODE_NO_MEMORY = 501,
	CODE_PARAMS = 505,
	CODE_QUEUE_FULL = 506,
	CODE_WRONG_OPERATION = 509,
	CODE_EMPTY = 550,
	CODE_FILE_NOT_FOUND = 700,
	CODE_CLOSED_BY_SERVER = 1001,
	CODE_CLOSED_BY_PEER = 1002,
	CODE_CLOSING = 1003,
	CODE_CLOSED = 1004,
	CODE_NO_CONNECTION = 1005,
	CODE_OUTPUT_OVERFLOW = 1009,
	CODE_MESSAGE_TOO_LARGE = 1201,
	CODE_TOO_LARGE = 1203,
	CODE_MALFORMED = 1204,
	CODE_TASK_NOT_SENT = 2002,
	CODE_TASK_TIMEOUT = 2003,
	CODE_TASK_FAILED = 2004,
	CODE_TASK_WORKER_DIED = 2005,
	CODE_ASKER_GONE = 2006,
	CODE_NOT_CONNECTED = 5001,
	CODE_NO_WEBSOCKET = 8503,
};

/* Pushes true for 0, else nil, message, code; the number of results. */
int codes_push(lua_State *L, int code);
/* What worker_send_any() returned, as a code; 0: it was sent. */
int codes_of_send(int r);
/* "the connection was closed by the peer" */
const char *codes_text(int code);
