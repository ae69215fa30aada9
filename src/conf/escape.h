/* Bytes as one line of ASCII text, by C's escapes, and back.  Pure; any thread. */
#pragma once

#include "base/str.h"

/* Control bytes, backslashes and bytes from 0x7f up become \r \n \t \0 \\ \xHH.  `out` has 4 * in.len + 1 bytes, is
 * terminated and returned. */
const char *escape_encode(struct str in, char *out);
/* The way back; `out` has in.len + 1 bytes and is terminated.  The length, or -EINVAL: an unknown escape. */
ssize_t escape_decode(struct str in, char *out);
