/* Makes the error of a dead coroutine a text for people, also when memory is short or a watchdog is armed. */
#pragma once

#include "base/str.h"
#include "lua/state.h"

struct failure {
	lua_State *L;      /* a coroutine that never runs */
	int explain_ref;   /* the function that does it, made while there was memory */
	int no_memory_ref; /* what is said when it fails */
};

void failure_init(struct failure *f, lua_State *L);
void failure_fini(struct failure *f);
/* Without the traceback: what means something to another process. */
struct str failure_message(struct str text);
/* Takes the error off `dead`, and leaves its text and a traceback of `dead` on f->L. */
void failure_explain(struct failure *f, lua_State *dead);
