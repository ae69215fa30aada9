/* A client's socket: how it comes and goes. */
#include "api/api_sync.h"
#include "api/client.h"
#include "base/bits.h"
#include "lua/bind.h"
#include "worker/codes.h"

#include <errno.h>
#include <string.h>

static const char connect_name[] = "client:connect";

int client_fail_unconnected(lua_State *L)
{
	return codes_push(L, CODE_NOT_CONNECTED);
}

void client_note_loop(lua_State *L, struct client *c)
{
	c->loop = sched_loop(sched_of(L));
}

/* ---- the socket ------------------------------------------------------------------------------------------------------ */

static int on_ready(void *ctx, int events)
{
	struct client *c = ctx;
	int wanted = 0;

	/* Reading stays watched until something comes that nobody waits for: most are back before that. */
	if ((events & WATCH_READ) && client_read_on(c))
		wanted |= WATCH_READ;
	if ((events & WATCH_WRITE) && client_write_on(c))
		wanted |= WATCH_WRITE;
	client_let_go(c);
	return wanted;
}

int client_open_wire(struct client *c, int fd)
{
	const struct wire_opts o = {
		.loop = c->loop,
		.fd = fd,
		.datagram = client_is_datagram(c),
		.port = client_opts_port(&c->opts),
		.on_ready = on_ready,
		.ctx = c,
	};
	int error = 0;

	c->wire = wire_open(&o, &error);
	return error;
}

/* ---- connecting ------------------------------------------------------------------------------------------------------ */

static void leave_connecting(struct task *t)
{
	struct client *c = t->wait;

	client_side_leave(&c->connecting);
	dial_cancel(c->dial);
	c->dial = NULL;
	client_let_go(c);
}

static int push_connected(lua_State *L, struct client *c, int fd, const struct err *err)
{
	int r;

	if (fd < 0)
		return bind_fail(L, -err->code, "%s", err->text);
	r = client_open_wire(c, fd);
	if (r < 0)
		return bind_fail(L, -r, "the connection cannot be watched: %s", strerror(-r));
	c->connected = true;
	lua_pushboolean(L, 1);
	return 1;
}

static void on_dialled(void *ctx, int fd, const struct err *err)
{
	struct client *c = ctx;
	struct task *t = client_side_leave(&c->connecting);

	c->dial = NULL;
	sched_wake(t, push_connected(t->L, c, fd, err));
	client_let_go(c);
}

static uint16_t get_port(lua_State *L, const struct client *c)
{
	lua_Number port = luaL_optnumber(L, 3, 0);

	if (c->type->family != AF_UNIX && !(port >= 1 && port <= 65535))
		state_error(L, "bad argument #2 to '%s' (a port from 1 to 65535 expected, got %.14g)", connect_name,
		            port);
	return c->type->family == AF_UNIX ? 0 : (uint16_t)port;
}

static int fail_connected(lua_State *L, const struct client *c)
{
	struct sock_addr peer = { .len = sizeof peer.storage };
	char text[SOCK_TEXT_MAX];

	if (getpeername(wire_fd(c->wire), &peer.sa, &peer.len) == 0)
		return bind_fail(L, EISCONN, "the client is connected to %s; close it first", sock_text(&peer, text));
	return bind_fail(L, EISCONN, "the client is in use; close it first");
}

int client_connect(lua_State *L)
{
	struct client *c = bind_self(L);
	struct dial_opts o = {
		.host = lua_tostring(L, 2),
		.port = get_port(L, c),
		.family = c->type->family,
		.type = c->type->socket,
		.from = c->opts.from,
		.on_done = on_dialled,
		.ctx = c,
	};
	struct err err = { 0 };

	client_side_check(L, &c->connecting, connect_name);
	if (strlen(o.host) != lua_objlen(L, 2))
		return state_error(L, "bad argument #1 to '%s' (a host without zero bytes expected)", connect_name);
	if (c->wire)
		return fail_connected(L, c);
	if (!api_sync_timeout(L, 4, connect_name, c->opts.times.connect, &o.timeout_ms))
		return bind_fail(L, ETIMEDOUT, "timeout");
	client_note_loop(L, c);
	o.loop = c->loop;
	c->dial = dial_start(&o, &err);
	if (!c->dial)
		return bind_fail(L, CODE_PARAMS, "%s", err.text);
	return client_side_park(L, c, &c->connecting, connect_name, leave_connecting, 0);
}

/* ---- closing --------------------------------------------------------------------------------------------------------- */

static void wake_closed(struct client_side *side)
{
	struct task *t = client_side_leave(side);

	if (t)
		sched_wake(t, bind_fail(t->L, CODE_CLOSED, "the client was closed"));
}

int client_close(lua_State *L)
{
	struct client *c = bind_self(L);

	dial_cancel(c->dial);
	c->dial = NULL;
	wire_close(c->wire);
	c->wire = NULL;
	c->connected = false;
	wake_closed(&c->connecting);
	wake_closed(&c->reading);
	client_write_stop(c);
	lua_pushboolean(L, 1);
	return 1;
}
