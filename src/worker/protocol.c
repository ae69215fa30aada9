#include "worker/protocol.h"

#include "base/bits.h"
#include "lua/bind.h"
#include "lua/framer.h"
#include "proto/proto.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

enum {
	WINDOW_FIRST = 1024, /* of what waits input sees so much at first, then twice as much, and so on */
	SPARE_MAX = 4096,    /* an idle connection keeps no larger buffer */
	REASON_MAX = 512,
	REFUSALS_MS = 1000, /* a line at most so often for what clients of a port do wrong */
};

/* bytes[begin … end) has come; of these, input has seen the first `seen` of the message and wanted more, or has said that
 * the message has `need` bytes (0: not yet). */
struct protocol {
	struct session *session;
	struct framer *framer;
	char *bytes;
	size_t begin, end, cap;
	size_t seen;
	size_t need;
	bool ended; /* the connection is being closed: what comes is of no use */
};

struct protocol *protocol_new(struct session *s)
{
	struct framer *framer = framer_of_port(s->worker->app, s->port->index);
	struct protocol *p;

	if (!framer)
		return NULL;
	p = xzalloc(sizeof *p);
	p->session = s;
	p->framer = framer;
	return p;
}

void protocol_free(struct protocol *p)
{
	if (!p)
		return;
	free(p->bytes);
	free(p);
}

size_t protocol_size(const struct protocol *p)
{
	return p ? p->end - p->begin : 0;
}

/* ---- the buffer ---------------------------------------------------------------------------------------------------------------- */

static void trim(struct protocol *p)
{
	if (p->begin < p->end)
		return;
	p->begin = p->end = 0;
	if (p->cap > SPARE_MAX) {
		free(p->bytes);
		p->bytes = NULL;
		p->cap = 0;
	}
}

static void consume(struct protocol *p, size_t n)
{
	p->begin += n;
	p->seen = p->need = 0;
	trim(p);
}

/* Room for so many bytes more. */
static int make_room(struct protocol *p, size_t more)
{
	size_t used = p->end - p->begin;
	char *bytes;

	if (more <= p->cap - p->end)
		return 0;
	/* Moving pays if it frees as much as it copies, else a long series of appends would not be linear. */
	if (p->begin >= used && used + more <= p->cap) {
		memmove(p->bytes, p->bytes + p->begin, used);
	} else {
		size_t cap = LS_MAX(used + more, 2 * used);

		bytes = try_alloc(cap);
		if (!bytes)
			return -ENOMEM;
		if (used)
			memcpy(bytes, p->bytes + p->begin, used);
		free(p->bytes);
		p->bytes = bytes;
		p->cap = cap;
	}
	p->begin = 0;
	p->end = used;
	return 0;
}

static int append(struct protocol *p, struct str bytes)
{
	if (p->ended || bytes.len == 0)
		return 0;
	if (make_room(p, bytes.len) < 0)
		return -ENOMEM;
	memcpy(p->bytes + p->end, bytes.p, bytes.len);
	p->end += bytes.len;
	return 0;
}

int protocol_take(struct protocol *p)
{
	struct session *s = p->session;

	for (struct list *it; (it = list_first(&s->events));) {
		struct session_event *e = LS_CONTAINER_OF(it, struct session_event, link);

		if (e->event != EVENT_receive)
			break;
		if (append(p, str_make(e->data, e->len)) < 0)
			return -ENOMEM;
		session_drop_event(s, e);
	}
	return 0;
}

/* ---- what ends a connection ------------------------------------------------------------------------------------------------------ */

static void end(struct protocol *p, enum close_reason reason)
{
	p->ended = true;
	consume(p, p->end - p->begin);
	session_blame(p->session, reason);
}

static const char *port_of(const struct protocol *p, char *out)
{
	return settings_port_text(p->session->port, out);
}

static void fail(struct protocol *p, const char *function, const char *text)
{
	char port[SETTINGS_PORT_TEXT_MAX];

	board_add(&p->session->worker->o.board->errors, 1);
	log_error("%s, fd %llu: %s of protocol %s failed, so the connection is closed: %s", port_of(p, port),
	          (unsigned long long)p->session->id, function, p->framer->name, text);
	end(p, CLOSE_MALFORMED);
}

/* The peer is to blame: as it can do so again and again, not every time is told. */
static void refuse(struct protocol *p, enum close_reason reason, const char *text)
{
	char port[SETTINGS_PORT_TEXT_MAX], shown[REASON_MAX];
	uint64_t swallowed;

	if (log_every_due(&p->framer->refusals, REFUSALS_MS, &swallowed))
		log_warn("%s, fd %llu: protocol %s refuses what came, so the connection is closed: %s (%llu more)",
		         port_of(p, port), (unsigned long long)p->session->id, p->framer->name,
		         str_escape(str_from(text), shown, sizeof shown), (unsigned long long)swallowed);
	end(p, reason);
}

static void refuse_length(struct protocol *p)
{
	char text[100];

	snprintf(text, sizeof text, "a message is longer than package_max_length (%llu)",
	         (unsigned long long)p->session->port->package_max_length);
	refuse(p, CLOSE_TOO_LARGE, text);
}

/* ---- cutting --------------------------------------------------------------------------------------------------------------------- */

/* What input said, on top of the stack (two values), of the first `window` bytes. */
static void hear(struct protocol *p, lua_State *L, size_t window)
{
	uint64_t limit = p->session->port->package_max_length;
	lua_Number n = lua_tonumber(L, -2);
	char text[100];

	if (lua_isnil(L, -2)) {
		refuse(p, CLOSE_MALFORMED, lua_isstring(L, -1) ? lua_tostring(L, -1) : "no reason is given");
	} else if (lua_type(L, -2) != LUA_TNUMBER) {
		snprintf(text, sizeof text, "it returned a %s, not a length or nil and a reason", luaL_typename(L, -2));
		fail(p, "input", text);
	} else if (!(n >= 0) || (n <= 0x1p53 && n != (lua_Number)(uint64_t)n)) {
		snprintf(text, sizeof text, "it returned %.14g, which is no length", n);
		fail(p, "input", text);
	} else if (n > (lua_Number)limit) {
		refuse_length(p);
	} else if (n == 0) {
		p->seen = window;
	} else {
		p->need = (size_t)n;
	}
}

static void ask(struct protocol *p, size_t window)
{
	struct worker *w = p->session->worker;
	lua_State *L = w->L;
	int top = lua_gettop(L);
	struct err err;

	lua_rawgeti(L, LUA_REGISTRYINDEX, p->framer->input);
	lua_pushlstring(L, p->bytes + p->begin, window);
	lua_pushinteger(L, (lua_Integer)p->seen);
	if (sched_call(w->sched, L, 2, 2, &err) < 0)
		fail(p, "input", err.text);
	else
		hear(p, L, window);
	lua_settop(L, top);
}

/* True: the first message is whole.  Once its length is known input is not asked again; it never sees more than a
 * message may have, nor, of many short messages, the whole rest each time. */
static bool is_whole(struct protocol *p)
{
	size_t limit = (size_t)p->session->port->package_max_length;
	size_t shown = LS_MIN(p->end - p->begin, limit);

	while (!p->ended && p->need == 0 && p->seen < shown)
		ask(p, LS_MIN(shown, LS_MAX(2 * p->seen, (size_t)WINDOW_FIRST)));
	if (!p->ended && p->need == 0 && p->seen >= limit)
		refuse_length(p); /* the message would have at least one byte more */
	return !p->ended && p->need > 0 && p->need <= p->end - p->begin;
}

/* Replaces the bytes on top of the stack by their value; false: neither is there any more. */
static bool decode(struct protocol *p, lua_State *L)
{
	struct worker *w = p->session->worker;
	int top = lua_gettop(L) - 1;
	struct err err;

	if (p->framer->decode == LUA_NOREF)
		return true;
	lua_rawgeti(L, LUA_REGISTRYINDEX, p->framer->decode);
	lua_insert(L, -2);
	if (sched_call(w->sched, L, 1, 2, &err) < 0)
		fail(p, "decode", err.text);
	else if (lua_isnil(L, -2) && !lua_isnil(L, -1))
		refuse(p, CLOSE_MALFORMED, lua_isstring(L, -1) ? lua_tostring(L, -1) : "decode says so");
	lua_settop(L, p->ended ? top : top + 1);
	return !p->ended;
}

bool protocol_next(struct protocol *p)
{
	lua_State *L = p->session->worker->L;

	if (p->begin == p->end || !is_whole(p))
		return false;
	lua_pushlstring(L, p->bytes + p->begin, p->need);
	consume(p, p->need);
	return decode(p, L);
}

/* ---- sending --------------------------------------------------------------------------------------------------------------------- */

static bool is_raw(const struct port *port)
{
	return !settings_port_is_dgram(port) && !settings_port_is_http(port);
}

/* What a connection that is not known here speaks, if it can be only one protocol; -1: there are several. */
static int only_protocol(const struct worker *w, const struct framer **out)
{
	const struct settings *s = w->o.settings;
	bool first = true;

	*out = NULL;
	for (unsigned i = 0; i < s->n_ports; i++) {
		const struct framer *f = framer_of_port(w->app, i);

		if (!is_raw(&s->ports[i]))
			continue;
		if (!first && (!f != !*out || (f && !str_eq(str_from(f->name), str_from((*out)->name)))))
			return -1;
		*out = f;
		first = false;
	}
	return 0;
}

int protocol_encode(struct worker *w, const struct session *s, lua_State *L, int idx, const char *what)
{
	const struct framer *f = s && s->protocol ? s->protocol->framer : NULL;

	if (!s && only_protocol(w, &f) < 0)
		return CODE_NO_CONNECTION;
	if (f && f->encode != LUA_NOREF) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, f->encode);
		lua_pushvalue(L, idx);
		lua_call(L, 1, 1);
		if (!lua_isstring(L, -1))
			return state_error(L, "%s: encode of protocol %s returned a %s, not a string", what, f->name,
			                   luaL_typename(L, -1));
		lua_replace(L, idx);
	} else if (!lua_isstring(L, idx)) {
		return state_error(L, "bad argument #2 to '%s' (string or number expected, got %s)", what,
		                   luaL_typename(L, idx));
	}
	return 0;
}

/* ---- handing over ---------------------------------------------------------------------------------------------------------------- */

static int send_return(struct link *line, conn_id id, struct str rest)
{
	struct frame f = { .type = FRAME_RETURN, .conn = id };

	return link_send(line, &f, &rest, 1);
}

void protocol_on_recall(struct worker *w, const struct frame *f)
{
	struct session *s = session_find(w, f->conn);

	if (s && s->protocol) {
		s->recalled = true;
		session_wake(s);
	} else {
		(void)send_return(worker_link(w, f->conn), f->conn, (struct str){ "", 0 });
	}
}

void protocol_return(struct session *s)
{
	struct protocol *p = s->protocol;
	struct str rest;

	/* Without an answer the reactor lets the connection go, with this process at the latest. */
	if (!s->recalled || p->ended)
		return;
	s->recalled = false;

	bool taken = protocol_take(p) == 0;

	rest = str_make(p->bytes ? p->bytes + p->begin : "", p->end - p->begin);
	if (!taken || rest.len > settings_port_held_max(s->port) || send_return(s->out.line, s->id, rest) < 0)
		session_close(s->worker, s->id, true);
	p->ended = true; /* the rest of the message is for the successor */
	consume(p, p->end - p->begin);
}

void protocol_return_all(struct worker *w)
{
	size_t cursor = 0;

	for (struct session *s; (s = session_next(w, &cursor));)
		if (s->recalled)
			protocol_return(s);
}
