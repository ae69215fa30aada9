/* A protocol that an app wrote in Lua: a table of functions
 *
 *   input(buffer, seen) -> length of the message that `buffer` begins with; 0: more is needed; nil, reason: refused
 *   decode(bytes) -> value [or nil, reason]      optional
 *   encode(value) -> bytes                       optional
 *
 * Which port speaks which is said by its setting protocol_module: a name for require(), or one that framer_name() gave
 * to a table.
 */
#pragma once

#include "base/log.h"
#include "conf/settings.h"
#include "lua/state.h"

struct app;

/* The functions of one port's protocol, as registry references. */
struct framer {
	const char *name;          /* the settings', which it must not outlive */
	int input;                 /* LUA_NOREF: the port's protocol is none of Lua's */
	int decode;                /* LUA_NOREF: the bytes are the value */
	int encode;                /* LUA_NOREF: the value is the bytes */
	struct log_every refusals; /* of what clients send */
};

/* The protocol_module of a table that set{} was given, which is remembered under it: the name it was required by, else one
 * made up.  On top of the stack.  May raise. */
const char *framer_name(lua_State *L, int idx);
/* Loads the protocols of all ports into app->framers. */
int framer_load_all(struct app *a, lua_State *L, const struct settings *settings, struct err *err);
/* NULL: that port has none. */
struct framer *framer_of_port(const struct app *a, unsigned port);
