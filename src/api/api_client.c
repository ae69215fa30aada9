#include "api/api_client.h"

#include "api/client.h"
#include "base/bits.h"
#include "base/mem.h"
#include "lua/bind.h"

#include <errno.h>
#include <string.h>

static const struct client_type types[] = {
	{ "tcp", AF_UNSPEC, SOCK_STREAM }, { "tcp6", AF_INET6, SOCK_STREAM }, { "unix", AF_UNIX, SOCK_STREAM },
	{ "udp", AF_UNSPEC, SOCK_DGRAM },  { "udp6", AF_INET6, SOCK_DGRAM },  { "unix_dgram", AF_UNIX, SOCK_DGRAM },
};

static const struct bind_kind client_kind;

/* ---- what needs no waiting -------------------------------------------------------------------------------------------- */

static int client_set(lua_State *L)
{
	struct client *c = bind_self(L);

	client_opts_set(L, 2, &c->opts);
	if (c->wire)
		wire_frame(c->wire, client_opts_port(&c->opts));
	lua_settop(L, 1);
	return 1;
}

static int client_is_connected(lua_State *L)
{
	const struct client *c = bind_self(L);

	lua_pushboolean(L, c->wire && c->connected && wire_is_whole(c->wire));
	return 1;
}

static int push_name(lua_State *L, int (*get)(int fd, struct sockaddr *addr, socklen_t *len))
{
	const struct client *c = bind_self(L);
	struct sock_addr addr = { .len = sizeof addr.storage };

	if (!c->wire)
		return client_fail_unconnected(L);
	if (get(wire_fd(c->wire), &addr.sa, &addr.len) < 0)
		return bind_fail(L, errno, "%s", strerror(errno));
	lua_createtable(L, 0, 2);
	client_push_address(L, &addr);
	lua_setfield(L, -3, "port");
	lua_setfield(L, -2, "host");
	return 1;
}

static int client_getsockname(lua_State *L)
{
	return push_name(L, getsockname);
}

static int client_getpeername(lua_State *L)
{
	return push_name(L, getpeername);
}

/* ---- the object ------------------------------------------------------------------------------------------------------- */

static void collect_client(void *object)
{
	struct client *c = object;

	c->collected = true;
	client_let_go(c);
}

/* NULL: there is none of that name. */
static const struct client_type *find_type(const char *name)
{
	for (size_t i = 0; i < LS_COUNT(types); i++)
		if (strcmp(name, types[i].name) == 0)
			return &types[i];
	return NULL;
}

static struct client *new_object(const struct client_type *type)
{
	struct client *c = xzalloc(sizeof *c);

	c->type = type;
	c->out.file = -1;
	client_opts_init(&c->opts);
	return c;
}

static int new_client(lua_State *L)
{
	const char *name = luaL_optstring(L, 1, "tcp");
	const struct client_type *type = find_type(name);

	if (!type)
		return state_error(
			L,
			"bad argument #1 to 'luaserv.client' (\"tcp\", \"tcp6\", \"udp\", \"udp6\", \"unix\" or "
			"\"unix_dgram\" expected, got \"%.40s\")",
			name);

	struct bind_handle *h = bind_push(L, &client_kind, NULL);

	h->object = new_object(type);
	return 1;
}

int api_client_push_connected(lua_State *L, int fd)
{
	struct bind_handle *h = bind_push(L, &client_kind, NULL);
	struct client *c = new_object(find_type("unix"));

	h->object = c;
	client_note_loop(L, c);

	int r = client_open_wire(c, fd);

	c->connected = r == 0;
	return r;
}

static int client_shutdown(lua_State *L)
{
	const struct client *c = bind_self(L);

	if (!c->wire)
		return client_fail_unconnected(L);
	if (shutdown(wire_fd(c->wire), SHUT_WR) < 0)
		return bind_fail(L, errno, "%s", strerror(errno));
	lua_pushboolean(L, 1);
	return 1;
}

enum { ROLES = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS };

static const struct bind_row methods[] = {
	{ "set", client_set, "t", ROLES,
	  "set{ timeout, connect_timeout, read_timeout, write_timeout, bind_address, bind_port, framing as a port's, or protocol: a module written in Lua } -> client." },
	{ "connect", client_connect, "sn?n?", ROLES | BIND_WAITS,
	  "connect(host, port, timeout) -> true | nil, message, code: tries every address of the host." },
	{ "send", client_send, "Sn?", ROLES | BIND_WAITS,
	  "send(data, timeout) -> bytes | nil, message, code: waits until the kernel took all." },
	{ "recv", client_recv, "n?", ROLES | BIND_WAITS,
	  "recv(timeout) -> data | \"\" at the end | nil, message, code: one message, or what is there; with a protocol written in Lua its "
	  "value." },
	{ "peek", client_peek, "n?", ROLES,
	  "peek(n = 65536) -> data | \"\" at the end | nil, message, code: what is there; it stays, and nothing waits." },
	{ "sendto", client_sendto, "sn?Sn?", ROLES | BIND_WAITS,
	  "sendto(address, port, data, timeout) -> bytes | nil, message, code: a datagram." },
	{ "recvfrom", client_recvfrom, "n?", ROLES | BIND_WAITS,
	  "recvfrom(timeout) -> data, host, port | nil, message, code: a datagram and its sender." },
	{ "sendfile", client_sendfile, "sn?n?n?", ROLES | BIND_WAITS,
	  "sendfile(path, offset = 0, length, timeout) -> bytes | nil, message, code." },
	{ "shutdown", client_shutdown, "", ROLES,
	  "shutdown() -> true | nil, message, code: no more is sent, which the peer sees as the end; what it sends is still received." },
	{ "close", client_close, "", ROLES, "close() -> true: who waits is told that the client was closed." },
	{ "is_connected", client_is_connected, "", ROLES,
	  "is_connected() -> boolean: connected, and neither an end nor an error was seen." },
	{ "getsockname", client_getsockname, "", ROLES, "getsockname() -> { host, port } | nil, message, code." },
	{ "getpeername", client_getpeername, "", ROLES, "getpeername() -> { host, port } | nil, message, code." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind client_kind = {
	.name = "client",
	.methods = methods,
	.collect = collect_client,
};

static const struct bind_row functions[] = {
	{ "client", new_client, "s?", ROLES,
	  "client(type = \"tcp\") -> client: of tcp, tcp6, udp, udp6, unix, unix_dgram." },
	{ NULL, NULL, NULL, 0, NULL },
};

static int package_max_length(lua_State *L)
{
	const struct client *c = bind_check(L, 1, &client_kind);

	lua_pushnumber(L, (lua_Number)client_opts_port(&c->opts)->package_max_length);
	return 1;
}

/* Protocols written in Lua are spoken by the library, over what is here. */
static void teach_protocols(lua_State *L)
{
	static const char *const names[] = { "set", "connect", "send", "recv", "close" };

	bind_require(L, "luaserv.client_protocol");
	lua_newtable(L);
	for (size_t i = 0; i < LS_COUNT(names); i++) {
		bind_push_method(L, &client_kind, names[i]);
		lua_setfield(L, -2, names[i]);
	}
	lua_pushcfunction(L, package_max_length);
	lua_setfield(L, -2, "package_max_length");
	lua_call(L, 1, 1);
	for (size_t i = 0; i < LS_COUNT(names); i++) {
		lua_getfield(L, -1, names[i]);
		bind_set_constant(L, &client_kind, names[i]);
	}
	lua_pop(L, 1);
}

int api_client_open(lua_State *L)
{
	bind_register(L, &client_kind);
	teach_protocols(L);
	bind_functions(L, "luaserv", functions);
	return 1;
}
