/* Whether and how the body of an answer is compressed (RFC 9110 §8.4): decided with its first byte, for all of it. */
#pragma once

#include "base/buf.h"
#include "lua/sched.h"

struct request;

/* What is to be sent for the string at `idx`: its own index, or that of its compressed form, which is pushed.  `whole`: it is all of the
 * body; `end`: its last piece.  Adds the fields that say so.  -ENOMEM: the body cannot go on. */
int encoding_apply(struct request *r, lua_State *L, int idx, bool whole, bool end);
/* The end of a body that has none of its own: NULL: nothing has to follow.  -ENOMEM. */
int encoding_finish(struct request *r, struct buf **out);
void encoding_free(struct request *r);
