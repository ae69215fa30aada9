#include "worker/packet.h"

#include "base/clock.h"
#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/colleague.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

/* A datagram whose handler runs or has not been called yet. */
struct packet {
	struct ready ready;
	struct worker *worker;
	const struct port *port;
	struct sock_far from;
	size_t len;
	char data[];
};

static void free_packet(struct packet *p)
{
	list_del(&p->ready.link);
	free(p);
}

static void on_done(struct task *t, int status)
{
	struct packet *p = t->ctx;

	if (status != 0)
		handler_log_error(p->worker, t, handler_error_text(t), NULL);
	worker_count_end(p->worker);
	free_packet(p);
}

/* Swoole's names. */
static void push_client(lua_State *L, const struct packet *p)
{
	char text[SOCK_TEXT_MAX];

	lua_createtable(L, 0, 5);
	lua_pushstring(L, sock_far_text(&p->from, text));
	lua_setfield(L, -2, "address");
	lua_pushinteger(L, p->from.peer.port);
	lua_setfield(L, -2, "port");
	lua_pushinteger(L, (lua_Integer)p->port->index);
	lua_setfield(L, -2, "server_socket");
	lua_pushinteger(L, settings_port_number(p->port));
	lua_setfield(L, -2, "server_port");
	lua_pushnumber(L, (double)clock_wall_us() / 1e6);
	lua_setfield(L, -2, "dispatch_time");
}

static void run(struct ready *ready)
{
	struct packet *p = LS_CONTAINER_OF(ready, struct packet, ready);
	struct worker *w = p->worker;
	int handler = app_handler(w->app, p->port->index, EVENT_packet);
	struct handler_call call;

	if (handler == LUA_NOREF || !handler_begin(w, handler, "packet", 0, &call)) {
		free_packet(p); /* max_coroutine is reached, which handler_begin() has said */
		return;
	}
	handler_push_server(w, call.L);
	lua_pushlstring(call.L, p->data, p->len);
	push_client(call.L, p);
	worker_count_begin(w);
	handler_run(w, &call, 3, on_done, p);
}

int packet_on_frame(struct worker *w, const struct frame *f, struct str payload)
{
	struct sock_far from;
	struct str data;
	struct packet *p;

	if (f->arg >= w->o.settings->n_ports || sock_far_read(payload, &from) < 0)
		return -EBADMSG;
	data = str_skip(payload, sock_far_size(&from));
	p = try_alloc(sizeof *p + data.len);
	if (!p) {
		worker_out_of_memory(w, "a datagram is lost");
		return 0;
	}
	*p = (struct packet){
		.ready = { .run = run }, .worker = w, .port = &w->o.settings->ports[f->arg], .len = data.len
	};
	list_init(&p->ready.link);
	p->from = from;
	if (data.len)
		memcpy(p->data, data.p, data.len);
	worker_ready(w, &p->ready);
	return 0;
}

/* ---- out ------------------------------------------------------------------------------------------------------------------------- */

/* A port of datagrams that can send to that family; NULL: none. */
static const struct port *port_for(const struct settings *s, int wanted, int family)
{
	for (unsigned i = 0; i < s->n_ports; i++) {
		const struct port *p = &s->ports[i];

		if (!settings_port_is_dgram(p) || (wanted >= 0 && p->index != (unsigned)wanted))
			continue;
		if (p->address.sa.sa_family == family)
			return p;
	}
	return NULL;
}

/* A process of base mode without a reactor: some worker sends for it. */
static struct link *link_of_any_worker(struct worker *w)
{
	for (unsigned i = 0; i < w->o.settings->worker_num; i++) {
		struct colleague *c = colleague_of_slot(w, i);

		if (c)
			return c->line;
	}
	return NULL;
}

/* The reactor that holds the port: in base mode the worker's own, in process mode ports are shared out by their index. */
static struct link *link_of(struct worker *w, const struct port *port)
{
	unsigned skip = w->n_links ? port->index % w->n_links : 0;

	if (w->n_links == 0)
		return link_of_any_worker(w);
	for (unsigned i = 0; i < SLOTS_OWNERS; i++)
		if (w->links[i] && skip-- == 0)
			return w->links[i];
	return NULL;
}

/* The address in Lua's words: numeric, or of a unix socket its path or "@name". */
static int parse_far(const struct packet_to *to, struct sock_far *out)
{
	struct sock_addr addr;
	size_t len = strlen(to->host);
	int r;

	if (to->host[0] == '@') {
		if (len > sizeof out->path)
			return -EINVAL;
		*out = (struct sock_far){ .peer = { .family = AF_UNIX, .path_len = (uint8_t)len } };
		memcpy(out->path + 1, to->host + 1, len - 1);
		return 0;
	}
	r = sock_parse(to->host, to->number, &addr, NULL);
	if (r == 0)
		*out = sock_far_of(&addr);
	return r;
}

int packet_send(struct worker *w, const struct packet_to *to, struct str bytes)
{
	struct frame f = { .type = FRAME_SENDTO };
	struct sock_far far;

	if (bytes.len > SOCK_DATAGRAM_MAX)
		return CODE_TOO_LARGE;
	if (parse_far(to, &far) < 0 || (far.peer.family != AF_UNIX && to->number == 0))
		return CODE_PARAMS;

	const struct port *port = port_for(w->o.settings, to->port, far.peer.family);
	struct link *line = port ? link_of(w, port) : NULL;

	if (!line)
		return CODE_WRONG_OPERATION;
	f.arg = port->index;

	struct str parts[2] = { str_make(&far, sock_far_size(&far)), bytes };

	return link_send(line, &f, parts, 2) < 0 ? CODE_OUTPUT_OVERFLOW : 0;
}
