/* What a client sends. */
#include "api/api_sync.h"
#include "api/client.h"
#include "base/bits.h"
#include "lua/bind.h"
#include "sys/fd.h"
#include "worker/codes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- on its way -------------------------------------------------------------------------------------------------------- */

/* What was sent, or its descriptor, is not needed any more.  `t` has waited, or is NULL. */
static void release(struct client *c, struct task *t)
{
	fd_close(&c->out.file);
	if (!t)
		return;
	timer_del(c->loop, &c->out.timer);
	luaL_unref(t->L, LUA_REGISTRYINDEX, t->wait_ref);
	t->wait_ref = LUA_NOREF;
}

/* The sender who waits, who does not any more. */
static struct task *leave(struct client *c)
{
	struct task *t = client_side_leave(&c->writing);

	release(c, t);
	return t;
}

static void leave_writing(struct task *t)
{
	struct client *c = t->wait;

	leave(c);
	client_let_go(c);
}

/* 0: all has left; -EAGAIN, or the socket's error. */
static int put_all(struct client *c)
{
	struct client_output *out = &c->out;

	do {
		struct str rest = str_make(out->bytes, (size_t)out->left);
		ssize_t n = out->file >= 0 ? wire_put_file(c->wire, out->file, out->at, out->left)
		                           : wire_put(c->wire, rest, out->to.len ? &out->to : NULL);

		if (n < 0)
			return (int)n;
		out->left -= (uint64_t)n;
		if (out->file >= 0)
			out->at += (uint64_t)n;
		else
			out->bytes += n;
	} while (out->left);
	return 0;
}

static int push_timeout(lua_State *L, const struct client_output *out)
{
	return bind_fail(L, ETIMEDOUT, "timeout: %" PRIu64 " of %" PRIu64 " bytes were sent", out->total - out->left,
	                 out->total);
}

static int push_result(lua_State *L, const struct client_output *out, int r)
{
	if (r == -ENODATA)
		return bind_fail(L, CODE_FILE_NOT_FOUND, "the file became shorter while it was sent");
	if (r < 0)
		return bind_fail(L, -r, "%s", strerror(-r));
	lua_pushnumber(L, (lua_Number)out->total);
	return 1;
}

bool client_write_on(struct client *c)
{
	int r = c->writing.task ? put_all(c) : 0;
	struct task *t;

	if (r == -EAGAIN)
		return true;
	t = leave(c);
	if (t)
		sched_wake(t, push_result(t->L, &c->out, r));
	return false;
}

static void on_timeout(struct timer *timer)
{
	struct client *c = LS_CONTAINER_OF(timer, struct client, out.timer);
	struct task *t = leave(c);

	sched_wake(t, push_timeout(t->L, &c->out));
	client_let_go(c);
}

void client_write_stop(struct client *c)
{
	struct task *t = leave(c);

	if (t)
		sched_wake(t, bind_fail(t->L, CODE_CLOSED,
		                        "the client was closed; %" PRIu64 " of %" PRIu64 " bytes were sent",
		                        c->out.total - c->out.left, c->out.total));
}

/* Sends what `c->out` says.  `data_idx`: the string it stands in, 0 for a file; `timeout_idx`: of the call. */
static int put(lua_State *L, struct client *c, const char *what, int data_idx, bool may_wait, uint64_t ms)
{
	int r = put_all(c);

	if (r != -EAGAIN || !may_wait) {
		release(c, NULL);
		return r == -EAGAIN ? push_timeout(L, &c->out) : push_result(L, &c->out, r);
	}
	if (data_idx) {
		struct task *t = sched_current(sched_of(L));

		lua_pushvalue(L, data_idx);
		t->wait_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	timer_init(&c->out.timer, on_timeout);
	if (ms)
		timer_set(c->loop, &c->out.timer, ms);
	wire_want(c->wire, WATCH_WRITE);
	return client_side_park(L, c, &c->writing, what, leave_writing, 0);
}

static int put_bytes(lua_State *L, struct client *c, const char *what, int data_idx, int timeout_idx,
                     const struct sock_addr *to)
{
	size_t len;
	const char *bytes = lua_tolstring(L, data_idx, &len);
	uint64_t ms;
	bool may_wait = api_sync_timeout(L, timeout_idx, what, c->opts.times.write, &ms);

	c->out.bytes = bytes;
	c->out.file = -1;
	c->out.left = c->out.total = len;
	c->out.to.len = 0;
	if (to)
		c->out.to = *to;
	return put(L, c, what, data_idx, may_wait, ms);
}

/* ---- for Lua ---------------------------------------------------------------------------------------------------------- */

int client_send(lua_State *L)
{
	struct client *c = bind_self(L);

	client_side_check(L, &c->writing, "client:send");
	if (!c->wire)
		return client_fail_unconnected(L);
	if (!client_is_datagram(c) && lua_objlen(L, 2) == 0)
		return codes_push(L, CODE_EMPTY);
	return put_bytes(L, c, "client:send", 2, 3, NULL);
}

/* A datagram socket that was not connected is made at its first use. */
static int open_datagrams(lua_State *L, struct client *c, int family)
{
	int fd, r;

	if (c->wire)
		return 0;
	fd = sock_datagram(family);
	if (fd < 0)
		return fd;
	r = sock_bind_from(fd, &c->opts.from, family);
	if (r < 0) {
		fd_close(&fd);
		return r;
	}
	client_note_loop(L, c);
	return client_open_wire(c, fd);
}

int client_sendto(lua_State *L)
{
	struct client *c = bind_self(L);
	lua_Number port = lua_tonumber(L, 3);
	struct sock_addr to;
	struct err err = { 0 };
	int r;

	if (!client_is_datagram(c))
		return bind_fail(L, CODE_WRONG_OPERATION, "client:sendto is for datagrams, not for %s", c->type->name);
	client_side_check(L, &c->writing, "client:sendto");
	if (c->type->family != AF_UNIX && !(port >= 1 && port <= 65535))
		return state_error(L, "bad argument #2 to 'client:sendto' (a port from 1 to 65535 expected, got %.14g)",
		                   port);
	if (sock_parse(lua_tostring(L, 2), (uint16_t)port, &to, &err) < 0)
		return bind_fail(L, CODE_PARAMS, "client:sendto: %s", err.text);
	if ((to.sa.sa_family == AF_UNIX) != (c->type->family == AF_UNIX))
		return bind_fail(L, CODE_PARAMS, "client:sendto: %s is no address for a client of type %s",
		                 lua_tostring(L, 2), c->type->name);
	r = open_datagrams(L, c, to.sa.sa_family);
	if (r < 0)
		return bind_fail(L, -r, "client:sendto: %s", strerror(-r));
	return put_bytes(L, c, "client:sendto", 4, 5, &to);
}

/* The file for `out`, which owns the descriptor.  0, or how many values of a failure were pushed. */
static int open_file(lua_State *L, struct client_output *out, const char *path, uint64_t offset, uint64_t length)
{
	struct stat st;

	out->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (out->file < 0)
		return bind_fail(L, CODE_FILE_NOT_FOUND, "%s: %s", path, strerror(errno));
	if (fstat(out->file, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(&out->file);
		return bind_fail(L, CODE_FILE_NOT_FOUND, "%s: not a regular file", path);
	}

	uint64_t size = (uint64_t)st.st_size;

	if (offset >= size || length > size - offset) {
		fd_close(&out->file);
		return bind_fail(L, CODE_PARAMS,
		                 "%s: %" PRIu64 " bytes from %" PRIu64 " on are asked for, but it has only %" PRIu64,
		                 path, length, offset, size);
	}
	out->at = offset;
	out->left = out->total = length ? length : size - offset;
	return 0;
}

int client_sendfile(lua_State *L)
{
	struct client *c = bind_self(L);
	lua_Number offset = luaL_optnumber(L, 3, 0);
	lua_Number length = luaL_optnumber(L, 4, 0);
	uint64_t ms;
	bool may_wait;
	int n;

	if (client_is_datagram(c))
		return bind_fail(L, CODE_WRONG_OPERATION, "client:sendfile is for streams, not for %s", c->type->name);
	client_side_check(L, &c->writing, "client:sendfile");
	if (offset < 0 || length < 0)
		return state_error(L, "client:sendfile: offset and length are not negative");
	may_wait = api_sync_timeout(L, 5, "client:sendfile", c->opts.times.write, &ms);
	if (!c->wire)
		return client_fail_unconnected(L);
	n = open_file(L, &c->out, lua_tostring(L, 2), (uint64_t)offset, (uint64_t)length);
	return n ? n : put(L, c, "client:sendfile", 0, may_wait, ms);
}
