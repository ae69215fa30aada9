/* The user processes of a server, as its script added them: server:add_process().  What they run is Lua's affair. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct settings;

enum {
	USERPROC_MAX = 256,
	USERPROC_NAME_MAX = 32, /* with its NUL */
};

/* When the manager starts it again after it has ended. */
enum userproc_restart { RESTART_ALWAYS, RESTART_ON_ERROR, RESTART_NEVER, RESTARTS };

struct userproc {
	char name[USERPROC_NAME_MAX]; /* "": none */
	enum userproc_restart restart;
	bool coroutine; /* its function runs in a coroutine, else plainly, and may block */
};

/* One more.  -E2BIG, -EINVAL with a sentence: there are too many, or its name cannot be. */
int userproc_add(struct settings *s, struct str name, enum userproc_restart restart, bool coroutine, struct err *err);
/* "always", "on_error", "never". */
const char *userproc_restart_name(enum userproc_restart restart);
/* -1: there is no such way. */
int userproc_restart_find(struct str name);
/* Whether one that ended with that status of waitpid gets a successor. */
bool userproc_wants_successor(const struct userproc *p, int status);
