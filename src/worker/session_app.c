/* What the app wants of a connection: sending, closing, pausing, naming it. */
#include "worker/session.h"

#include "worker/codes.h"
#include "worker/protocol.h"
#include "worker/runtime.h"
#include "worker/watermark.h"

#include <stdlib.h>
#include <sys/stat.h>

struct session *session_known(struct worker *w, conn_id id)
{
	struct session *s = session_find(w, id);

	return s && s->alone ? NULL : s;
}

int session_close(struct worker *w, conn_id id, bool reset)
{
	struct session *s = session_known(w, id);
	struct frame f = {
		.type = FRAME_CLOSE,
		.flags = reset ? FRAME_RESET : 0,
		.conn = id,
		.arg = s ? s->blame : 0,
	};

	if (s && s->closed)
		return CODE_CLOSED;
	if (s && s->closing && !reset)
		return CODE_CLOSING;
	if (s)
		s->closing = true;
	if (s && !reset && !list_empty(&s->out.pending))
		return 0; /* what was sent before leaves before: see close_when_empty() */
	return codes_of_send(worker_send_any(w, &f, NULL, 0));
}

/* A connection this worker was not told of: nobody accounts for its bytes here, the reactor holds it to its limit. */
static int send_unknown(struct worker *w, lua_State *L, conn_id id, struct str bytes)
{
	struct frame f = { .type = FRAME_SEND, .conn = id };

	return codes_push(L, codes_of_send(worker_send_any(w, &f, &bytes, 1)));
}

/* What keeps bytes from being sent to a connection this worker knows; 0: nothing. */
int session_sending_code(const struct session *s)
{
	if (s->closed)
		return s->out.closed;
	return s->closing ? CODE_CLOSING : 0;
}

static bool may_wait(const struct session *s)
{
	return s->worker->o.settings->send_yield && s->port->socket_buffer_policy == BUFFER_WAIT;
}

/* The results of a send; a peer that is too slow may be closed for it. */
static int sent(struct session *s, lua_State *L, int n)
{
	bool full = n == 3 && lua_tointeger(L, -1) == CODE_OUTPUT_OVERFLOW;

	watermark_look(s);
	if (full && s->port->socket_buffer_policy == BUFFER_CLOSE && !s->closing)
		session_reset(s);
	return n;
}

int session_send(struct worker *w, lua_State *L, conn_id id, int idx, bool wait)
{
	struct session *s = session_known(w, id);
	const char *what = wait ? "server:sendwait" : "server:send";
	struct str bytes = { 0 };
	int refused = protocol_encode(w, s, L, idx, what);

	if (refused)
		return codes_push(L, refused);
	bytes.p = lua_tolstring(L, idx, &bytes.len);
	if (bytes.len == 0)
		return codes_push(L, CODE_EMPTY);
	if (!s || s->port->index >= w->o.settings->n_ports)
		return send_unknown(w, L, id, bytes);

	int code = s->websocket ? CODE_WRONG_OPERATION : session_sending_code(s);

	if (code)
		return codes_push(L, code);
	return sent(s, L, outflow_send(&s->out, L, idx, false, wait || may_wait(s), what));
}

int session_send_string(struct session *s, lua_State *L, int idx, const char *what)
{
	return sent(s, L, outflow_send(&s->out, L, idx, false, may_wait(s), what));
}

/* 0 or a code; `*length` becomes what will be sent. */
static int measure_file(const char *path, uint64_t offset, uint64_t *length)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return CODE_FILE_NOT_FOUND;
	if (offset >= (uint64_t)st.st_size || *length > (uint64_t)st.st_size - offset)
		return CODE_PARAMS;
	if (*length == 0)
		*length = (uint64_t)st.st_size - offset;
	return 0;
}

static int send_file_unknown(struct worker *w, lua_State *L, conn_id id, const struct frame_file *file,
                             const char *path)
{
	struct str parts[2] = { str_make(file, sizeof *file), str_from(path) };
	struct frame f = { .type = FRAME_SEND_FILE, .conn = id };

	return codes_push(L, codes_of_send(worker_send_any(w, &f, parts, 2)));
}

int session_send_file(struct worker *w, lua_State *L, conn_id id, const char *path, uint64_t offset, uint64_t length)
{
	struct session *s = session_known(w, id);
	struct frame_file file = { .offset = offset };
	int code = s ? session_sending_code(s) : 0;

	if (s && s->websocket)
		code = CODE_WRONG_OPERATION;
	if (code == 0)
		code = measure_file(path, offset, &length);
	if (code)
		return codes_push(L, code);
	file.length = length;
	if (!s)
		return send_file_unknown(w, L, id, &file, path);
	lua_pushlstring(L, (const char *)&file, sizeof file);
	lua_pushstring(L, path);
	lua_concat(L, 2);
	return sent(s, L, outflow_send_file(&s->out, L, lua_gettop(L), length, may_wait(s), "server:sendfile"));
}

int session_confirm(struct worker *w, conn_id id)
{
	struct frame f = { .type = FRAME_CONFIRM, .conn = id };
	const struct session *s = session_known(w, id);

	return s && s->closed ? CODE_CLOSED : codes_of_send(worker_send_any(w, &f, NULL, 0));
}

int session_protect(struct worker *w, conn_id id, bool protect)
{
	struct frame f = { .type = FRAME_PROTECT, .conn = id, .arg = protect };
	struct session *s = session_known(w, id);
	int code = s && s->closed ? CODE_CLOSED : codes_of_send(worker_send_any(w, &f, NULL, 0));

	if (s && code == 0)
		s->spared = protect;
	return code;
}

int session_bind(struct worker *w, conn_id id, struct str uid)
{
	struct frame f = { .type = FRAME_BIND, .conn = id };
	struct session *s = session_known(w, id);
	int code = s && s->closed ? CODE_CLOSED : codes_of_send(worker_send_any(w, &f, &uid, 1));

	if (s && code == 0) {
		free(s->uid);
		s->uid = xmemdup0(uid.p, uid.len);
	}
	return code;
}

bool session_is_silent(const struct session *s)
{
	uint64_t limit = s->port->heartbeat_idle_time;

	return limit && !s->spared && !s->paused && loop_now(s->worker->o.loop) - s->heard_ms >= limit;
}

void session_let_go(struct worker *w)
{
	size_t cursor = 0;

	for (const struct map_entry *e; (e = map_next(&w->sessions, &cursor));) {
		struct session *s = e->value;

		if (s->held)
			session_wake(s);
	}
}

struct session *session_next(struct worker *w, size_t *cursor)
{
	for (const struct map_entry *e; (e = map_next(&w->sessions, cursor));) {
		struct session *s = e->value;

		if (!s->closed && !s->moved)
			return s;
	}
	return NULL;
}

int session_pause(struct worker *w, conn_id id, bool pause)
{
	struct frame f = { .type = pause ? FRAME_PAUSE : FRAME_RESUME, .conn = id };
	struct session *s = session_known(w, id);

	if (!s)
		return codes_of_send(worker_send_any(w, &f, NULL, 0));
	if (s->closed)
		return CODE_CLOSED;
	s->held = pause;
	session_follow_reading(s);
	if (!pause)
		session_wake(s);
	return 0;
}
