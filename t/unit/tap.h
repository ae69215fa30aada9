/* What a unit test prints: TAP.  Every test file is one program. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

static int tap_tests, tap_failures;

#define ok(held, ...) tap_ok((held), __FILE__, __LINE__, __VA_ARGS__)

static inline void __attribute__((format(printf, 4, 5)))
tap_ok(bool held, const char *file, int line, const char *fmt, ...)
{
	__builtin_va_list args;

	tap_tests++;
	tap_failures += !held;
	printf("%sok %d - ", held ? "" : "not ", tap_tests);
	__builtin_va_start(args, fmt);
	vprintf(fmt, args);
	__builtin_va_end(args);
	printf("\n");
	if (!held)
		printf("#   at %s line %d\n", file, line);
}

static inline int tap_done(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures != 0;
}
