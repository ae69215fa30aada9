#include "worker/outflow.h"

#include "base/bits.h"
#include "base/mem.h"
#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

/* Up to this a send goes out although the ring is full: parking for it would cost more than keeping it. */
enum { SMALL = 4096, NOT_YET = -1 };

struct pending {
	struct list link;
	struct outflow *of;
	struct task *task; /* NULL: its sender has given up, but it had begun to leave */
	struct str rest;
	uint64_t file; /* length of the file that `rest` names; 0: `rest` itself is sent */
	int anchor;    /* registry reference of the string */
	uint32_t tag;
	bool end;
	bool begun;
	int *early; /* wait() has not parked yet: the outcome goes here */
};

void outflow_init(struct outflow *of, struct link *line, uint64_t budget,
                  ssize_t (*emit)(struct outflow *of, struct str piece, bool end, const struct outflow_source *from))
{
	*of = (struct outflow){ .line = line, .budget = budget, .emit = emit };
	list_init(&of->waiting);
	list_init(&of->pending);
}

static uint64_t room(const struct outflow *of)
{
	uint64_t on_way = of->sent - of->acked;

	return on_way < of->budget ? of->budget - on_way : 0;
}

int outflow_frame(struct outflow *of, const struct frame *f, struct str bytes, const struct outflow_source *from)
{
	if (!link_lends(of->line, bytes.len))
		return link_send(of->line, f, &bytes, 1);

	int anchor = state_anchor(from->L, from->idx);

	if (anchor < 0)
		return anchor;

	int r = link_lend(of->line, f, bytes, (uint64_t)anchor);

	if (r < 0)
		luaL_unref(from->L, LUA_REGISTRYINDEX, anchor);
	return r;
}

void outflow_returned(void *ctx, uint64_t token)
{
	struct worker *w = ctx;

	luaL_unref(w->L, LUA_REGISTRYINDEX, (int)token);
}

static ssize_t emit(struct outflow *of, struct str piece, bool end, const struct outflow_source *from)
{
	ssize_t n = of->emit(of, piece, end, from);

	if (n > 0)
		of->sent += (uint64_t)n;
	return n;
}

/* All of it, whatever budget and link say. */
static int emit_all(struct outflow *of, struct str bytes, bool end, struct outflow_source *from)
{
	do {
		ssize_t n = emit(of, bytes, end, from);

		if (n < 0)
			return (int)n;
		bytes = str_skip(bytes, (size_t)n);
		from->begun = true;
	} while (bytes.len > 0);
	return 0;
}

static void drop(struct pending *p)
{
	luaL_unref(worker_current()->L, LUA_REGISTRYINDEX, p->anchor);
	list_del(&p->link);
	free(p);
}

static void finish(struct pending *p, int code)
{
	struct task *t = p->task;

	if (p->early) {
		*p->early = code;
		t = NULL;
	}
	drop(p);
	if (!t)
		return;
	if (code == 0) {
		lua_pushboolean(t->L, 1);
		sched_wake(t, 1);
	} else {
		sched_wake(t, codes_push(t->L, code));
	}
}

/* A file leaves as a whole, once there is any room: its bytes take no memory, but what follows waits until they have left. */
static ssize_t emit_file(struct outflow *of, struct str file, uint64_t length)
{
	int r = of->emit_file(of, file);

	if (r < 0)
		return r;
	of->sent += length;
	return (ssize_t)file.len;
}

/* Sends the next piece of what waits; the string is on the stack meanwhile. */
static ssize_t emit_pending(struct outflow *of, const struct pending *p, size_t piece)
{
	if (p->file)
		return emit_file(of, p->rest, p->file);

	lua_State *L = worker_current()->L;

	lua_rawgeti(L, LUA_REGISTRYINDEX, p->anchor);

	struct outflow_source from = {
		.L = L,
		.idx = lua_gettop(L),
		.tag = p->tag,
		.begun = p->begun,
		.more = piece < p->rest.len,
	};
	ssize_t n = emit(of, str_take(p->rest, piece), p->end && piece == p->rest.len, &from);

	lua_settop(L, from.idx - 1);
	return n;
}

void outflow_pump(struct outflow *of)
{
	for (struct list *it; !of->closed && (it = list_first(&of->pending));) {
		struct pending *p = LS_CONTAINER_OF(it, struct pending, link);
		size_t piece = (size_t)LS_MIN(room(of), (uint64_t)p->rest.len);

		if (of->line->full) {
			if (!list_linked(&of->waiting))
				list_append(&worker_current()->room_waiters, &of->waiting);
			return;
		}
		if (piece == 0 && p->rest.len > 0)
			return; /* an ACK goes on */

		ssize_t n = emit_pending(of, p, piece);

		p->begun = true;
		if (n >= 0)
			p->rest = str_skip(p->rest, (size_t)n);
		if (n < 0 || p->rest.len == 0)
			finish(p, n < 0 ? CODE_OUTPUT_OVERFLOW : 0);
		if (list_empty(&of->pending) && of->on_empty)
			of->on_empty(of);
	}
}

/* The sender's time is up, or it was cancelled. What has not begun to leave never will; the rest of what has begun must
 * follow, or the peer would see a torn message. */
static void give_up(struct task *t)
{
	struct pending *p = t->wait;
	struct outflow *of = p->of;
	bool end = p->end;

	if (p->begun) {
		p->task = NULL;
		return;
	}
	drop(p);
	if (end && of->on_lost)
		of->on_lost(of);
	if (!of->closed && list_empty(&of->pending) && of->on_empty)
		of->on_empty(of);
}

static int wait(struct outflow *of, lua_State *L, int idx, struct pending send, const char *what)
{
	struct worker *w = worker_current();
	struct pending *p;
	int anchor;

	lua_pushvalue(L, idx);
	anchor = luaL_ref(L, LUA_REGISTRYINDEX); /* may raise, so it comes before what would then be lost */
	p = try_alloc(sizeof *p);
	if (!p) {
		luaL_unref(L, LUA_REGISTRYINDEX, anchor);
		return codes_push(L, CODE_NO_MEMORY);
	}
	*p = send;
	p->of = of;
	p->task = sched_current(w->sched);
	p->anchor = anchor;
	list_append(&of->pending, &p->link);

	/* The first piece, and a place among those who wait for room. */
	int early = NOT_YET;

	p->early = &early;
	outflow_pump(of);
	if (early > 0)
		return codes_push(L, early);
	if (early == 0) {
		lua_pushboolean(L, 1);
		return 1;
	}
	p->early = NULL;
	return sched_park(L, what, give_up, p, w->o.settings->send_timeout);
}

int outflow_send(struct outflow *of, lua_State *L, int idx, bool end, bool may_wait, const char *what)
{
	struct str bytes = { 0 };

	bytes.p = lua_tolstring(L, idx, &bytes.len);
	if (of->closed)
		return codes_push(L, of->closed);

	bool fits = list_empty(&of->pending) && bytes.len <= room(of) && (!of->line->full || bytes.len <= SMALL);

	if (!fits && may_wait && sched_may_park(L))
		return wait(of, L, idx, (struct pending){ .rest = bytes, .end = end, .tag = of->tag }, what);
	if (!list_empty(&of->pending) || (bytes.len > room(of) && !end))
		return codes_push(L, CODE_OUTPUT_OVERFLOW);
	if (emit_all(of, bytes, end, &(struct outflow_source){ .L = L, .idx = idx, .tag = of->tag }) < 0)
		return codes_push(L, CODE_OUTPUT_OVERFLOW);
	lua_pushboolean(L, 1);
	return 1;
}

int outflow_send_file(struct outflow *of, lua_State *L, int idx, uint64_t length, bool may_wait, const char *what)
{
	struct pending send = { .file = length };

	send.rest.p = lua_tolstring(L, idx, &send.rest.len);
	if (of->closed)
		return codes_push(L, of->closed);

	bool fits = list_empty(&of->pending) && room(of) > 0 && !of->line->full;

	if (!fits && may_wait && sched_may_park(L))
		return wait(of, L, idx, send, what);
	if (!fits || emit_file(of, send.rest, length) < 0)
		return codes_push(L, CODE_OUTPUT_OVERFLOW);
	lua_pushboolean(L, 1);
	return 1;
}

void outflow_ack(struct outflow *of, uint64_t total)
{
	if (total > of->acked && total <= of->sent)
		of->acked = total;
	outflow_pump(of);
}

void outflow_close(struct outflow *of, int code)
{
	of->closed = code;
	list_del(&of->waiting);
	for (struct list *it; (it = list_first(&of->pending));)
		finish(LS_CONTAINER_OF(it, struct pending, link), code);
}
