/* What the files of luaserv.client share: the object and who waits on it. */
#pragma once

#include "api/client_opts.h"
#include "lua/sched.h"
#include "net/dial.h"
#include "net/wire.h"

struct client_type {
	const char *name;
	int family; /* of the dial */
	int socket; /* SOCK_STREAM, SOCK_DGRAM */
};

/* At most one coroutine connects, one receives and one sends. */
struct client_side {
	struct task *task; /* that waits; NULL: nobody */
	const char *what;  /* "client:recv" */
};

/* What is on its way out. */
struct client_output {
	const char *bytes; /* kept alive by the waiting task's wait_ref */
	int file;          /* in place of bytes; -1: none */
	uint64_t at;       /* in the file */
	uint64_t left;
	uint64_t total;
	struct sock_addr to; /* len 0: the peer */
	struct timer timer;  /* of the wait: its end tells how much has left */
};

struct client {
	const struct client_type *type;
	struct client_opts opts;
	struct loop *loop; /* once there was need of it */
	struct dial *dial; /* NULL: not connecting */
	struct wire *wire; /* NULL: closed */
	bool connected;    /* the wire has a peer */
	bool with_sender;  /* recvfrom waits, not recv */
	bool collected;    /* Lua has forgotten it; the last who waits frees it */
	struct client_side connecting;
	struct client_side reading;
	struct client_side writing;
	struct client_output out;
};

static inline bool client_is_datagram(const struct client *c)
{
	return c->type->socket == SOCK_DGRAM;
}

/* ---- client_side.c ---------------------------------------------------------------------------------------------------- */

/* Raises if the caller cannot wait at all, or if another coroutine waits there. */
void client_side_check(lua_State *L, const struct client_side *side, const char *what);
/* sched_park() for the client; `leave` takes the task off the side. */
int client_side_park(lua_State *L, struct client *c, struct client_side *side, const char *what,
                     void (*leave)(struct task *t), uint64_t timeout_ms);
/* The task that waits there, which does not any more; NULL: nobody did. */
struct task *client_side_leave(struct client_side *side);
/* Frees a client that Lua has forgotten, once nobody waits. The last thing to do with it. */
void client_let_go(struct client *c);

/* ---- client_connect.c -------------------------------------------------------------------------------------------------- */

int client_connect(lua_State *L);
int client_close(lua_State *L);
/* Takes the descriptor; 0 or negative errno. */
int client_open_wire(struct client *c, int fd);
/* nil, message, code: the client has no socket. */
int client_fail_unconnected(lua_State *L);
void client_note_loop(lua_State *L, struct client *c);

/* ---- client_read.c ------------------------------------------------------------------------------------------------------ */

int client_recv(lua_State *L);
int client_recvfrom(lua_State *L);
int client_peek(lua_State *L);
/* Host and port: two values. */
int client_push_address(lua_State *L, const struct sock_addr *addr);
/* The wire can be read: true if somebody waited for that. */
bool client_read_on(struct client *c);

/* ---- client_write.c ----------------------------------------------------------------------------------------------------- */

int client_send(lua_State *L);
int client_sendto(lua_State *L);
int client_sendfile(lua_State *L);
/* The wire can be written: true if somebody still waits for that. */
bool client_write_on(struct client *c);
/* The sender who waits, if any, is told that the client was closed. */
void client_write_stop(struct client *c);
