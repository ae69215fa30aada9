/* Frames to handlers: the callback table, and how a handler is run in either way (coroutine or plain). */
#include "worker/runtime.h"

#include "base/log.h"
#include "lua/bind.h"
#include "worker/inquiry.h"
#include "worker/packet.h"
#include "worker/protocol.h"

#include <errno.h>

bool handler_begin(struct worker *w, int handler, const char *event, uint64_t fd, struct handler_call *out)
{
	out->task = NULL;
	out->L = w->L;
	if (!sched_is_plain(w->sched)) {
		struct task *t = sched_task(w->sched);

		if (!t) {
			log_warn("max_coroutine (%llu) is reached; a %s event is refused",
			         (unsigned long long)w->o.settings->max_coroutine, event);
			return false;
		}
		t->event = event;
		t->fd = fd;
		out->task = t;
		out->L = t->L;
	}
	out->event = event;
	out->fd = fd;
	lua_rawgeti(out->L, LUA_REGISTRYINDEX, handler);
	return true;
}

/* Without coroutines the same end is told through a task that is only a record; what was raised stands on the stack. */
static void run_plain(struct worker *w, const struct handler_call *call, int nargs,
                      void (*on_done)(struct task *t, int status), void *ctx)
{
	struct task record = { .L = w->L, .sched = w->sched, .ctx = ctx, .event = call->event, .fd = call->fd };
	struct err *outer = w->capture;
	struct err err = { 0 };
	int top = lua_gettop(w->L) - nargs - 1;

	w->capture = &err;

	int status = sched_call_plain(w->sched, w->L, nargs, 1, call->event, call->fd);

	w->capture = outer;
	if (status != 0)
		lua_pushstring(w->L, err.text);
	on_done(&record, status);
	lua_settop(w->L, top);
}

void handler_run(struct worker *w, struct handler_call *call, int nargs, void (*on_done)(struct task *t, int status),
                 void *ctx)
{
	if (!call->task) {
		run_plain(w, call, nargs, on_done, ctx);
		return;
	}
	call->task->on_done = on_done;
	call->task->ctx = ctx;
	sched_start(call->task, nargs);
}

void handler_take_result(const struct worker *w, const struct task *t)
{
	if (!sched_is_plain(w->sched))
		lua_settop(t->L, 1); /* plain calls leave just that */
}

const char *handler_error_text(const struct task *t)
{
	const char *text = lua_tostring(t->L, -1);

	return text ? text : "?";
}

void handler_log_error(struct worker *w, const struct task *t, const char *text, const char *about)
{
	board_add(&w->o.board->errors, 1);
	if (about)
		log_error("the %s handler failed, fd %llu, %s: %s", t->event, (unsigned long long)t->fd, about, text);
	else if (t->fd)
		log_error("the %s handler failed, fd %llu: %s", t->event, (unsigned long long)t->fd, text);
	else
		log_error("the %s handler failed: %s", t->event, text);
}

void handler_push_server(struct worker *w, lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, w->app->server_ref);
}

static int on_ack(struct worker *w, const struct frame *f)
{
	if (f->stream)
		request_on_ack(w, f);
	else
		session_on_ack(w, f);
	return 0;
}

static int on_bye(struct worker *w)
{
	w->n_byes++;
	return 0;
}

int handler_on_frame(void *ctx, const struct frame *f, struct str payload)
{
	struct worker *w = ctx;

	switch (f->type) {
	case FRAME_REQUEST:
		return request_on_head(w, f, payload);
	case FRAME_BODY:
		return request_on_body(w, f, payload);
	case FRAME_ABORT:
		request_on_abort(w, f);
		return 0;
	case FRAME_DATA:
		return session_on_data(w, f, payload);
	case FRAME_PACKET:
		return packet_on_frame(w, f, payload);
	case FRAME_OPEN:
		session_on_open(w, f, payload);
		return 0;
	case FRAME_CLOSED:
		return session_on_closed(w, f, payload);
	case FRAME_ANSWER:
		inquiry_on_answer(w, f, payload);
		return 0;
	case FRAME_MOVED:
		session_on_moved(w, f);
		return 0;
	case FRAME_SHUT:
		session_on_shut(w, f);
		return 0;
	case FRAME_RECALL:
		protocol_on_recall(w, f);
		return 0;
	case FRAME_ACK:
		return on_ack(w, f);
	case FRAME_BYE:
		return on_bye(w);
	default:
		return -EBADMSG;
	}
}
