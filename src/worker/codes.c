#include "worker/codes.h"

#include "base/bits.h"
#include "lua/bind.h"

#include <errno.h>

static const struct {
	int code;
	const char *text;
} texts[] = {
	{ CODE_NO_MEMORY, "there is no memory" },
	{ CODE_PARAMS, "the arguments make no sense" },
	{ CODE_QUEUE_FULL, "the receiver is too far behind" },
	{ CODE_WRONG_OPERATION, "that cannot be done here" },
	{ CODE_EMPTY, "there is nothing to send" },
	{ CODE_FILE_NOT_FOUND, "the file cannot be opened" },
	{ CODE_CLOSED_BY_SERVER, "the connection was closed by the server" },
	{ CODE_CLOSED_BY_PEER, "the connection was closed by the peer" },
	{ CODE_CLOSING, "the connection is closing" },
	{ CODE_CLOSED, "the connection is closed" },
	{ CODE_NO_CONNECTION, "there is no such connection" },
	{ CODE_OUTPUT_OVERFLOW, "socket_buffer_size or link_backlog_size is used up" },
	{ CODE_MESSAGE_TOO_LARGE, "the message is longer than package_max_length" },
	{ CODE_TOO_LARGE, "the data is too large" },
	{ CODE_MALFORMED, "what was received breaks the framing" },
	{ CODE_TASK_NOT_SENT, "the task cannot be put into the queue; the log says why" },
	{ CODE_TASK_WORKER_DIED, "the task worker has died again and again and is given up; the log says why" },
	{ CODE_NOT_CONNECTED, "the client is not connected" },
	{ CODE_NO_WEBSOCKET, "the connection is no open WebSocket" },
};

const char *codes_text(int code)
{
	for (unsigned i = 0; i < LS_COUNT(texts); i++)
		if (texts[i].code == code)
			return texts[i].text;
	return "unknown error";
}

int codes_of_send(int r)
{
	return r == 0 ? 0 : r == -ENOTCONN ? CODE_NO_CONNECTION : r == -ENOMEM ? CODE_NO_MEMORY : CODE_OUTPUT_OVERFLOW;
}

int codes_push(lua_State *L, int code)
{
	if (code)
		return bind_fail(L, code, "%s", codes_text(code));
	lua_pushboolean(L, 1);
	return 1;
}
