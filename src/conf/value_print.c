/* Values and what is allowed as text; the other half of value.h. */
#include "base/mem.h"
#include "conf/escape.h"
#include "conf/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const uint64_t second = 1000;
static const uint64_t hour = 3600 * 1000;
static const uint64_t day = 86400 * 1000;

static const char *print_time(uint64_t ms, char *out, size_t cap)
{
	if (ms == 0)
		snprintf(out, cap, "0");
	else if (ms % day == 0)
		snprintf(out, cap, "%" PRIu64 "d", ms / day);
	else if (ms % hour == 0)
		snprintf(out, cap, "%" PRIu64 "h", ms / hour);
	else if (ms % second == 0)
		snprintf(out, cap, "%" PRIu64 "s", ms / second);
	else
		snprintf(out, cap, "%" PRIu64 "ms", ms);
	return out;
}

static const char *print_size(uint64_t bytes, char *out, size_t cap)
{
	if (bytes == 0 || bytes % KIB != 0)
		snprintf(out, cap, "%" PRIu64, bytes);
	else if (bytes % GIB == 0)
		snprintf(out, cap, "%" PRIu64 "g", bytes / GIB);
	else if (bytes % MIB == 0)
		snprintf(out, cap, "%" PRIu64 "m", bytes / MIB);
	else
		snprintf(out, cap, "%" PRIu64 "k", bytes / KIB);
	return out;
}

static const char *print_number(const struct settings_row *row, uint64_t n, char *out, size_t cap)
{
	if (n == VALUE_AUTO)
		snprintf(out, cap, "auto");
	else if (row->kind == VALUE_TIME)
		print_time(n, out, cap);
	else if (row->kind == VALUE_SIZE)
		print_size(n, out, cap);
	else
		snprintf(out, cap, "%" PRIu64, n);
	return out;
}

const char *value_print_range(const struct settings_row *row, char *out, size_t cap)
{
	char low[32], high[32];

	out[0] = '\0';
	print_number(row, row->min, low, sizeof low);
	print_number(row, row->max, high, sizeof high);
	if (value_is_number(row->kind))
		snprintf(out, cap, "%s to %s", low, high);
	else if (row->kind == VALUE_BYTES)
		snprintf(out, cap, "%s to %s bytes", low, high);
	else if (row->kind == VALUE_STR || row->kind == VALUE_PATH)
		snprintf(out, cap, "at most %s bytes", high);
	else if (row->kind == VALUE_LIST)
		snprintf(out, cap, "at most %s items", high);
	return out;
}

/* A value's first name is its canonical one. */
static bool is_canonical(const struct settings_names *names, const struct settings_names *n)
{
	for (; names != n; names++)
		if (names->value == n->value)
			return false;
	return true;
}

const char *value_print_choices(const struct settings_row *row, const char *sep, const char *last, char *out,
                                size_t cap)
{
	const struct settings_names *before = NULL;
	size_t at = 0;

	out[0] = '\0';
	for (const struct settings_names *n = row->names; n && n->name && at < cap; n++) {
		const struct settings_names *after = n + 1;

		if (!is_canonical(row->names, n))
			continue;
		while (after->name && !is_canonical(row->names, after))
			after++;
		at += (size_t)snprintf(out + at, cap - at, "%s%s", !before ? "" : after->name ? sep : last, n->name);
		before = n;
	}
	return out;
}

static const char *print_list(const struct settings_list *list, char *out, size_t cap)
{
	size_t at = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < list->count && at < cap; i++)
		at += (size_t)snprintf(out + at, cap - at, "%s%s", i ? "," : "", list->items[i]);
	return out;
}

static const char *print_enum(const struct settings_row *row, int value, char *out, size_t cap)
{
	snprintf(out, cap, "%d", value);
	for (const struct settings_names *n = row->names; n->name; n++) {
		if (n->value != value)
			continue;
		snprintf(out, cap, "%s", n->name);
		break;
	}
	return out;
}

static const char *print_bytes(struct str bytes, char *out, size_t cap)
{
	char *escaped = xalloc(4 * bytes.len + 1);

	snprintf(out, cap, "%s", escape_encode(bytes, escaped));
	free(escaped);
	return out;
}

const char *value_print(const struct settings_row *row, const void *field, char *out, size_t cap)
{
	const char *text;

	switch (row->kind) {
	case VALUE_BOOL:
		snprintf(out, cap, "%s", *(const bool *)field ? "true" : "false");
		break;
	case VALUE_UINT:
	case VALUE_TIME:
	case VALUE_SIZE:
		print_number(row, *(const uint64_t *)field, out, cap);
		break;
	case VALUE_STR:
	case VALUE_PATH:
		text = *(const char *const *)field;
		snprintf(out, cap, "%s", text ? text : "");
		break;
	case VALUE_BYTES:
		print_bytes(*(const struct str *)field, out, cap);
		break;
	case VALUE_LIST:
		print_list(field, out, cap);
		break;
	case VALUE_ENUM:
		print_enum(row, *(const int *)field, out, cap);
		break;
	}
	return out;
}

const char *value_print_default(const struct settings_row *row, char *out, size_t cap)
{
	union value v = { 0 };

	out[0] = '\0';
	if (value_parse(row, str_from(row->def), &v, NULL) == 0)
		value_print(row, &v, out, cap);
	value_clear(row, &v);
	return out;
}
