/* What a client receives. */
#include "api/api_sync.h"
#include "api/client.h"
#include "base/bits.h"
#include "lua/bind.h"
#include "worker/codes.h"

#include <errno.h>
#include <string.h>

enum { PEEK_MAX = 65536 };

int client_push_address(lua_State *L, const struct sock_addr *addr)
{
	struct sock_peer peer = sock_peer_of(addr);
	char text[SOCK_TEXT_MAX];

	if (addr->len > sizeof addr->sa.sa_family && addr->sa.sa_family == AF_UNIX)
		lua_pushstring(L, sock_text(addr, text));
	else
		lua_pushstring(L, sock_peer_text(&peer, text));
	lua_pushinteger(L, peer.port);
	return 2;
}

/* What wire_take() said, as Lua sees it. */
static int push_failure(lua_State *L, int r)
{
	switch (r) {
	case -EMSGSIZE:
		return codes_push(L, CODE_MESSAGE_TOO_LARGE);
	case -EBADMSG:
		return codes_push(L, CODE_MALFORMED);
	case -ENODATA:
		return bind_fail(L, CODE_CLOSED_BY_PEER, "the connection was closed by the peer within a message");
	case -ENOMEM:
		return codes_push(L, CODE_NO_MEMORY);
	default:
		return bind_fail(L, -r, "%s", strerror(-r));
	}
}

static int push_taken(lua_State *L, int r, struct str bytes)
{
	if (r < 0)
		return push_failure(L, r);
	lua_pushlstring(L, r ? bytes.p : "", r ? bytes.len : 0);
	return 1;
}

/* -EAGAIN, or how many values were pushed. */
static int take(lua_State *L, struct client *c, bool with_sender)
{
	struct sock_addr from = { .len = 0 };
	struct str message = { 0 };
	int r = wire_take(c->wire, &message, &from);
	int n = r == -EAGAIN ? r : push_taken(L, r, message);

	return n > 0 && r > 0 && with_sender ? n + client_push_address(L, &from) : n;
}

bool client_read_on(struct client *c)
{
	struct task *t = c->reading.task;
	int n = t ? take(t->L, c, c->with_sender) : 0;

	if (n > 0) {
		client_side_leave(&c->reading);
		sched_wake(t, n);
	}
	return t != NULL;
}

static void leave_reading(struct task *t)
{
	struct client *c = t->wait;

	client_side_leave(&c->reading);
	client_let_go(c);
}

static int receive(lua_State *L, const char *what, bool with_sender)
{
	struct client *c = bind_self(L);
	uint64_t ms;
	int n;

	client_side_check(L, &c->reading, what);

	bool may_wait = api_sync_timeout(L, 2, what, c->opts.times.read, &ms);

	if (!c->wire)
		return client_fail_unconnected(L);
	n = take(L, c, with_sender);
	if (n > 0)
		return n;
	if (!may_wait)
		return bind_fail(L, ETIMEDOUT, "timeout");
	c->with_sender = with_sender;
	wire_want(c->wire, WATCH_READ);
	return client_side_park(L, c, &c->reading, what, leave_reading, ms);
}

int client_recv(lua_State *L)
{
	return receive(L, "client:recv", false);
}

int client_recvfrom(lua_State *L)
{
	const struct client *c = bind_self(L);

	if (!client_is_datagram(c))
		return bind_fail(L, CODE_WRONG_OPERATION, "client:recvfrom is for datagrams, not for %s",
		                 c->type->name);
	return receive(L, "client:recvfrom", true);
}

int client_peek(lua_State *L)
{
	struct client *c = bind_self(L);
	lua_Number max = luaL_optnumber(L, 2, PEEK_MAX);
	struct str bytes = { 0 };
	int r;

	if (!(max >= 1))
		return state_error(L, "bad argument #1 to 'client:peek' (at least 1 byte expected, got %.14g)", max);
	if (!c->wire)
		return client_fail_unconnected(L);
	r = wire_peek(c->wire, (size_t)LS_MIN(max, (lua_Number)PEEK_MAX), &bytes);
	return r == -EAGAIN ? bind_fail(L, EAGAIN, "nothing has come") : push_taken(L, r, bytes);
}
