#include "base/err.h"

#include "base/str.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	char text[sizeof err->text]; /* an argument may be err->text itself */
	va_list args;

	assert(code < 0);
	if (!err)
		return code;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	memcpy(err->text, text, strlen(text) + 1);
	err->code = code;
	return code;
}

static void append(char *text, size_t cap, const char *more)
{
	size_t used = strlen(text);

	str_copy(str_from(more), text + used, cap - used);
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char text[sizeof err->text];
	va_list args;

	assert(err);
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);

	append(text, sizeof text, ": ");
	append(text, sizeof text, err->text);
	memcpy(err->text, text, strlen(text) + 1);
	return err->code;
}
