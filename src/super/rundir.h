/* The runtime directory: where running servers leave their admin sockets and who they are, so that the
 * command line finds them. $LUASERV_RUNTIME_DIR, else $XDG_RUNTIME_DIR/luaserv, else /tmp/luaserv-UID; only
 * its owner may enter.
 *
 *   <hash of the script's real path>-<pid>.sock    the admin socket
 *   <hash of the script's real path>-<pid>.json    struct rundir_entry
 */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum { RUNDIR_OPTIONS_MAX = 65536 };

struct rundir_entry {
	pid_t pid;
	char socket[PATH_MAX];
	char script[PATH_MAX];            /* absolute */
	char directory[PATH_MAX];         /* where it was started */
	char conf[PATH_MAX];              /* -c file, or "" */
	char options[RUNDIR_OPTIONS_MAX]; /* -o, one a line */
	bool daemon;
};

/* The directory, made when it is missing.  0 or negative. */
int rundir_open(char *out, size_t cap, struct err *err);
/* A listening admin socket for `pid` and `script`, blocking mode off; fills entry->socket. Writes the
 * entry's file. */
int rundir_register(struct rundir_entry *entry, struct err *err);
/* Removes both files. */
void rundir_remove(const struct rundir_entry *entry);

/* Whom to look for; what is 0 or NULL does not matter. */
struct rundir_query {
	pid_t pid;
	const char *script;
	const char *directory;
};

/* The one that fits and answers. -ESRCH: none; -EEXIST: several. Files of dead servers are removed on the
 * way. */
int rundir_find(const struct rundir_query *q, struct rundir_entry *out, struct err *err);
/* Connects to its admin socket (blocking); descriptor or negative errno. */
int rundir_connect(const struct rundir_entry *entry);
