/* What other processes wrote to this user process (process:write), until process:read() takes it.
 *
 * What it holds is bounded by message_queue_size; then it takes no more, and the writers wait, as with other messages.
 */
#pragma once

#include "lua/pack.h"

#include <stdbool.h>

struct intake;
struct worker;

struct intake *intake_new(struct worker *w);
/* NULL is ignored. */
void intake_free(struct intake *in);
/* False: it is full, or there is no memory. */
bool intake_put(struct intake *in, unsigned slot, const struct packed *value);
bool intake_is_empty(const struct intake *in);
/* `return` it from a C function: waits, and pushes the value and who wrote it; timeout_ms 0: for ever. */
int intake_read(struct intake *in, lua_State *L, uint64_t timeout_ms);
