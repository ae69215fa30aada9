/* The shared memory that an app declares: what it is called, what it is, how large.  Part of struct settings, so that it
 * goes wherever the settings go; the memory itself is the keeper's (role/vault.h).
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

enum { SHARED_MAX = 512, SHARED_NAME_MAX = 128, SHARED_SHAPE_MAX = 4096 };

/* Names that begin so are the runtime's own. */
#define SHARED_RESERVED "luaserv:"

struct shared {
	char *name;
	char *shape;    /* "a dict of 1048576 bytes": two declarations are the same if this is */
	uint64_t bytes; /* of its segment */
};

struct shared_list {
	struct shared *items; /* [n], owned */
	unsigned n;
};

/* NULL: there is none of that name. */
const struct shared *shared_find(const struct shared_list *l, const char *name);
/* Declares it; once more with the same shape is nothing new.  -EEXIST: it has another shape; -E2BIG: too many; -EINVAL: not
 * a name. */
int shared_declare(struct shared_list *l, const char *name, const char *shape, uint64_t bytes, struct err *err);
void shared_fini(struct shared_list *l);
