/* Bytes from Lua to one connection or response, within its budget.
 *
 * What is on its way (sent, not yet acknowledged by the reactor) never passes the budget.  A send that does not fit waits
 * in its coroutine; its string is anchored and goes out piece by piece.  Sends leave in the order they were called.
 */
#pragma once

#include "base/list.h"
#include "base/str.h"
#include "ipc/link.h"
#include "lua/sched.h"

/* A string of Lua, of which a piece is being sent. */
struct outflow_source {
	lua_State *L;
	int idx;
	uint32_t tag; /* of this send */
	bool begun;   /* pieces of it have left */
	bool more;    /* and some will follow behind this one */
};

struct outflow {
	struct list waiting; /* on worker.room_waiters while the link is full */
	struct list pending; /* struct pending: sends that wait, oldest first */
	struct link *line;
	uint64_t sent;
	uint64_t acked;
	uint64_t budget;
	uint32_t tag; /* of the next outflow_send(): emit is told of it with each piece */
	int closed;   /* nothing leaves any more: the code that sends get; 0: open */
	/* Puts what it can of a piece on the link, `end` with the last byte of a final send.  How much that was, at least
	 * one byte of those there are; negative errno. */
	ssize_t (*emit)(struct outflow *of, struct str piece, bool end, const struct outflow_source *from);
	/* Puts a file on the link: struct frame_file and its path.  0 or negative errno.  NULL: no files are sent this way. */
	int (*emit_file)(struct outflow *of, struct str file);
	/* The last of the sends that waited has left; NULL: nobody cares. */
	void (*on_empty)(struct outflow *of);
	/* A final send was given up before it began to leave; NULL: there are none. */
	void (*on_lost)(struct outflow *of);
};

void outflow_init(struct outflow *of, struct link *line, uint64_t budget,
                  ssize_t (*emit)(struct outflow *of, struct str piece, bool end, const struct outflow_source *from));
/* For emit: sends a frame whose payload is `bytes`, lent where the link can: the string is anchored until the reactor has written
 * it.  As link_send(). */
int outflow_frame(struct outflow *of, const struct frame *f, struct str bytes, const struct outflow_source *from);
/* link.on_returned of the links of the worker, `ctx`. */
void outflow_returned(void *ctx, uint64_t token);
/* Sends the string at stack index `idx`; `end`: nothing follows.  Returns the number of Lua results: true; or, with `may_wait` and
 * where the coroutine can, parks until it has left; or nil, message, code.  For `return outflow_send(…)` from a C function. */
int outflow_send(struct outflow *of, lua_State *L, int idx, bool end, bool may_wait, const char *what);
/* The same with a file of `length` bytes; the string at `idx` is what emit_file gets. */
int outflow_send_file(struct outflow *of, lua_State *L, int idx, uint64_t length, bool may_wait, const char *what);
/* The reactor says so many bytes have left. */
void outflow_ack(struct outflow *of, uint64_t total);
/* There is room in the link: goes on as far as budget and link allow. */
void outflow_pump(struct outflow *of);
/* Nothing leaves any more: sends, also those that wait, get nil, message, `code`. */
void outflow_close(struct outflow *of, int code);
