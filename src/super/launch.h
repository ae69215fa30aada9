/* What a server was started with: script, directory, configuration file, -o options. Travels to eval and to
 * a daemon. */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum { LAUNCH_OPTIONS_MAX = 256, LAUNCH_BYTES_MAX = 65536 };

struct launch {
	char *script;    /* absolute, as given: links are kept */
	char *directory; /* working directory */
	char *conf;      /* absolute path of the -c file, or "" */
	char **options;  /* "name=value" */
	unsigned n_options;
};

/* Copies; all strings may be NULL for "". */
void launch_init(struct launch *l, const char *script, const char *directory, const char *conf);
void launch_fini(struct launch *l);
void launch_copy(struct launch *to, const struct launch *from);
/* "name=value"; -EINVAL without '=' or with a line end, -E2BIG when there are too many. */
int launch_add_option(struct launch *l, const char *option, struct err *err);

/* All of it as bytes; returns how many, or -E2BIG. */
ssize_t launch_pack(const struct launch *l, char *out, size_t cap);
/* -EPROTO: these are no packed launch; `l` is then empty. */
int launch_unpack(struct launch *l, struct str bytes);
