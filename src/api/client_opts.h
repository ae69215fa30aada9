/* What client:set() says: time-outs and framing. */
#pragma once

#include "conf/settings.h"

#include <lua.h>

/* Milliseconds; 0: no limit. */
struct client_times {
	uint64_t connect;
	uint64_t read;
	uint64_t write;
};

struct client_opts {
	struct client_times times;
	struct sock_addr from; /* bind_address, bind_port; len 0: the kernel chooses */
	struct port *said;     /* as it was said; NULL: no framing was */
	struct port *framing;  /* what that means */
	struct port *draft;    /* of a set() that is under way, or raised */
};

void client_opts_init(struct client_opts *o);
void client_opts_fini(struct client_opts *o);
/* The table at `table`.  Raises; then nothing has changed. */
void client_opts_set(lua_State *L, int table, struct client_opts *o);
/* Whose framing holds; void after the next client_opts_set(). */
const struct port *client_opts_port(const struct client_opts *o);
