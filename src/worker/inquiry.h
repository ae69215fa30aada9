/* What a worker asks the reactors about connections, its own and those of others.  The asking coroutine waits for the answers. */
#pragma once

#include "ipc/frame.h"

#include "lua/sched.h"

struct worker;

enum { INQUIRY_LIST_MAX = 1000 };

/* Up to `n` connections behind `after` (0: from the first), in the order of their ids.  Results: a list of ids, empty at the end; or
 * nil, message, code. */
int inquiry_list(struct worker *w, lua_State *L, conn_id after, unsigned n);
/* Those that have sent nothing for heartbeat_idle_time; `close`: they are closed. */
int inquiry_silent(struct worker *w, lua_State *L, bool close);
/* What the reactor knows of a connection: `push` is called with it (NULL: there is none) and pushes the results. */
int inquiry_info(struct worker *w, lua_State *L, conn_id id, const char *what,
                 int (*push)(lua_State *L, const struct frame_info *info, struct str uid));
void inquiry_on_answer(struct worker *w, const struct frame *f, struct str payload);
