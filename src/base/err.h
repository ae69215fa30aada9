/* What went wrong, as a sentence for the person who must act.
 *
 * Cold paths take a `struct err *` as last parameter and fill it once, at the depth that knows most; callers
 * add context with err_wrap().  Hot paths return a negative errno and no text.
 */
#pragma once

#include "base/bits.h"

struct err {
	int code;        /* negative errno; 0: no error */
	char text[1024]; /* a sentence or several lines (a Lua traceback); cut when longer */
};

/* Fills `err` (may be NULL) and returns `code`, which is negative. */
int err_set(struct err *err, int code, const char *fmt, ...) LS_PRINTF(3, 4);

/* Puts "context: " before the text and returns err->code. */
int err_wrap(struct err *err, const char *fmt, ...) LS_PRINTF(2, 3);
