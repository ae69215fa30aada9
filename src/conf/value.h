/* Values of settings: text to typed fields and back.
 *
 * `field` points at the member that a row of the settings table describes, or at a union value.  Fields own what they
 * point at.  Pure; any thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct settings_row;

/* Names of an enum's values; a value may have several names, its canonical one first. Ends with NULL. */
struct settings_names {
	const char *name;
	int value;
};

struct settings_list {
	const char **items; /* owned */
	unsigned count;
};

/* The types of settings.def, in the same order as their names in value.c. */
enum value_kind {
	VALUE_BOOL,
	VALUE_UINT,
	VALUE_TIME,
	VALUE_SIZE,
	VALUE_STR,
	VALUE_PATH,
	VALUE_BYTES,
	VALUE_LIST,
	VALUE_ENUM,
};

/* What a number is while it is "auto". */
#define VALUE_AUTO UINT64_MAX

enum { VALUE_TEXT_MAX = 4400 /* holds any value's text */, VALUE_LENGTH_MAX = 4000 /* longest string, path or list */ };

static inline bool value_is_number(enum value_kind kind)
{
	return kind == VALUE_UINT || kind == VALUE_TIME || kind == VALUE_SIZE;
}

/* Room for a value of any type; start with all zeros. */
union value {
	bool flag;
	uint64_t number;
	int choice;
	const char *text;
	struct str bytes;
	struct settings_list list;
};

/* Replaces what `field` holds.  -EINVAL: not such a value; -ERANGE: out of the row's range; the sentence says what was
 * given and what was expected, and the field is as before. */
int value_parse(const struct settings_row *row, struct str text, void *field, struct err *err);

/* As value_parse() would take it, in one canonical spelling: "30s", "2m", "\r\n".  Returns `out`. */
const char *value_print(const struct settings_row *row, const void *field, char *out, size_t cap);

/* The row's default, printed.  Returns `out`. */
const char *value_print_default(const struct settings_row *row, char *out, size_t cap);

/* "1 to 1024", "at most 64 bytes"; empty for types without a range.  Returns `out`. */
const char *value_print_range(const struct settings_row *row, char *out, size_t cap);

/* The names an enum's messages and docs list, with `sep` between them and `last` before the last.  Returns `out`. */
const char *value_print_choices(const struct settings_row *row, const char *sep, const char *last, char *out,
                                size_t cap);

bool value_equal(const struct settings_row *row, const void *a, const void *b);
/* Replaces what `to` holds by a copy of its own. */
void value_copy(const struct settings_row *row, void *to, const void *from);
/* Frees what the field owns and zeroes it. */
void value_clear(const struct settings_row *row, void *field);
