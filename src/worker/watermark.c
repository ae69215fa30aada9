#include "worker/watermark.h"

#include "worker/runtime.h"

static void on_done(struct task *t, int status)
{
	struct worker *w = t->ctx;

	worker_count_end(w);
	if (status != 0)
		handler_log_error(w, t, handler_error_text(t), NULL);
}

static void tell(struct session *s, enum settings_event event)
{
	struct worker *w = s->worker;
	int handler = app_handler(w->app, s->port->index, event);
	struct handler_call call;

	if (handler == LUA_NOREF || !handler_begin(w, handler, settings_event_name((int)event), s->id, &call))
		return;
	handler_push_server(w, call.L);
	lua_pushnumber(call.L, (lua_Number)s->id);
	worker_count_begin(w);
	handler_run(w, &call, 2, on_done, w);
}

/* Beside the connection's other handlers: one that waits in a send is what these events are about. */
static void run(struct ready *ready)
{
	struct session *s = LS_CONTAINER_OF(ready, struct session, crossing);

	if (s->closed || s->high == s->high_told)
		return;
	s->high_told = s->high;
	tell(s, s->high ? EVENT_buffer_full : EVENT_buffer_empty);
}

void watermark_look(struct session *s)
{
	const struct port *p = s->port;
	uint64_t waits = s->out.sent - s->out.acked;

	if (!(p->events & (1ULL << EVENT_buffer_full | 1ULL << EVENT_buffer_empty)))
		return;
	if (s->high ? waits > p->buffer_low_watermark : waits < p->buffer_high_watermark)
		return;
	s->high = !s->high;
	s->crossing.run = run;
	worker_ready(s->worker, &s->crossing);
}
