/* The little JSON of the admin socket: one object in one line. */
#pragma once

#include "base/str.h"

#include <stdio.h>

/* The value of a top-level key: a string decoded, anything else as it stands. Returns its length (`out` is
 * terminated); -ENOENT: no such key; -EBADMSG: this is no JSON object; -EMSGSIZE: it is longer than `cap` -
 * 1. */
ssize_t jsonline_get(struct str line, const char *key, char *out, size_t cap);
/* Writes `text` as a JSON string with its quotes. */
void jsonline_put(FILE *to, struct str text);
