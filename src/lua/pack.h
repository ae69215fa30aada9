/* Plain Lua values as bytes, for other processes: nil, booleans, numbers, strings, cjson.null, and tables of them.
 *
 * A string stands as itself, so that it is not copied once more; every other value begins with the byte of its kind.
 * The bytes are in this machine's order.  They are checked when they are read, since another process wrote them.
 * Metatables are left out; a table that is reached twice is written twice.
 */
#pragma once

#include "base/str.h"
#include "lua/state.h"

enum {
	PACK_DEPTH_MAX = 100, /* tables within tables */
};

enum pack_form { PACK_STRING, PACK_VALUE, PACK_FORMS };

struct packed {
	struct str bytes;
	enum pack_form form;
};

/* Memory that is used again for the next value; all zero to begin with. */
struct pack {
	char *data;
	size_t len;
	size_t cap;
};

/* The value at `idx`, called `name` in messages ("data"), as at most `max` bytes.  out->bytes is borrowed from the Lua string or from
 * `p`, whichever it is, until either changes.  -EINVAL: no plain value; -E2BIG: too many bytes; -ENOMEM.  The text names the part:
 * "data.user.fn is a function, which cannot be sent".  Raises nothing; needs the Lua stack as it is. */
int pack_value(struct pack *p, lua_State *L, int idx, const char *name, size_t max, struct packed *out,
               struct err *err);
void pack_fini(struct pack *p);

/* Whether these bytes are one value; -EBADMSG: they are not. */
int pack_check(struct str value);
/* Pushes the value.  -EBADMSG, and pushes nothing: these are no packed value.  Raises when there is no memory (LJMP). */
int pack_push(lua_State *L, const struct packed *in);
