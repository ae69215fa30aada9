#include "conf/value.h"

#include "base/bits.h"
#include "base/mem.h"
#include "conf/escape.h"
#include "conf/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES_MAX = 64, GIVEN_MAX = 200, GIVEN_BYTES = 40, EXPECTED_MAX = 300 };

static bool looks_like_number(struct str text)
{
	size_t i = text.p[0] == '-' && text.len > 1;

	if (text.p[i] < '0' || text.p[i] > '9')
		return false;
	for (; i < text.len; i++) {
		char lower = (char)(text.p[i] | 32);

		if ((text.p[i] < '0' || text.p[i] > '9') && (lower < 'a' || lower > 'z') && text.p[i] != '.')
			return false;
	}
	return true;
}

/* What was given, for a sentence: bare if it looks like a number, else quoted; escaped and cut. */
static const char *given(struct str text, char *out)
{
	char escaped[4 * GIVEN_BYTES + 1];
	const char *more = text.len > GIVEN_BYTES ? "..." : "";

	if (text.len == 0)
		return "empty";
	escape_encode(str_take(text, GIVEN_BYTES), escaped);
	if (looks_like_number(text))
		snprintf(out, GIVEN_MAX, "%s%s", escaped, more);
	else
		snprintf(out, GIVEN_MAX, "\"%s%s\"", escaped, more);
	return out;
}

static bool allows_auto(const struct settings_row *row)
{
	return value_is_number(row->kind) && str_eq(str_from(row->def), LS_STR("auto"));
}

/* What a value of this row is, for "it must be …". */
static const char *expected(const struct settings_row *row, char *out, size_t cap)
{
	char range[80];
	const char *maybe_auto = allows_auto(row) ? ", or auto" : "";

	value_print_range(row, range, sizeof range);
	switch (row->kind) {
	case VALUE_BOOL:
		snprintf(out, cap, "true or false");
		break;
	case VALUE_UINT:
		snprintf(out, cap, "a whole number, %s%s", range, maybe_auto);
		break;
	case VALUE_TIME:
		snprintf(out, cap, "a time such as 30s or 500ms, %s%s", range, maybe_auto);
		break;
	case VALUE_SIZE:
		snprintf(out, cap, "a size such as 64k or 2m, %s%s", range, maybe_auto);
		break;
	case VALUE_ENUM:
		value_print_choices(row, ", ", " or ", out, cap);
		break;
	case VALUE_STR:
	case VALUE_PATH:
	case VALUE_BYTES:
	case VALUE_LIST:
		snprintf(out, cap, "%s", range);
		break;
	}
	return out;
}

static int refuse(const struct settings_row *row, struct str text, struct err *err)
{
	char shown[GIVEN_MAX], wanted[EXPECTED_MAX];

	return err_set(err, -EINVAL, "%s is %s, but it must be %s", row->name, given(text, shown),
	               expected(row, wanted, sizeof wanted));
}

static int parse_bool(const struct settings_row *row, struct str text, bool *field, struct err *err)
{
	static const char *const yes[] = { "true", "1", "on", "yes" };
	static const char *const no[] = { "false", "0", "off", "no" };
	struct str word = str_trim(text);

	for (size_t i = 0; i < LS_COUNT(yes); i++) {
		bool is_yes = str_ieq(word, str_from(yes[i]));

		if (!is_yes && !str_ieq(word, str_from(no[i])))
			continue;
		*field = is_yes;
		return 0;
	}
	return refuse(row, text, err);
}

static bool is_negative(struct str text)
{
	return text.len > 1 && text.p[0] == '-' && text.p[1] >= '0' && text.p[1] <= '9';
}

static int parse_number(const struct settings_row *row, struct str text, uint64_t *field, struct err *err)
{
	struct str word = str_trim(text);
	char shown[GIVEN_MAX], range[80];
	uint64_t n = 0;
	int r;

	if (allows_auto(row) && str_ieq(word, LS_STR("auto"))) {
		*field = VALUE_AUTO;
		return 0;
	}
	if (row->kind == VALUE_TIME)
		r = str_to_duration(word, &n);
	else if (row->kind == VALUE_SIZE)
		r = str_to_size(word, &n);
	else
		r = str_to_u64(word, &n);
	if (r < 0 && r != -ERANGE && !is_negative(word))
		return refuse(row, text, err);
	if (r < 0 || n < row->min || n > row->max)
		return err_set(err, -ERANGE, "%s is %s, but it must be %s", row->name, given(word, shown),
		               value_print_range(row, range, sizeof range));
	*field = n;
	return 0;
}

/* Strings, paths and lists hold no control bytes: a NUL would cut them, a line feed spoil logs and files. */
static int check_text(const struct settings_row *row, struct str text, struct err *err)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == 0x7f)
			return err_set(err, -EINVAL, "%s holds the control byte \\x%02x, which it must not", row->name,
			               c);
	}
	return 0;
}

static int check_length(const struct settings_row *row, size_t len, uint64_t max, struct err *err)
{
	if (len < row->min && len == 0)
		return err_set(err, -ERANGE, "%s is empty, but it must be %" PRIu64 " to %" PRIu64 " bytes", row->name,
		               row->min, max);
	if (len < row->min || len > max)
		return err_set(err, -ERANGE, "%s is %zu bytes long, but it must be %" PRIu64 " to %" PRIu64 " bytes",
		               row->name, len, row->min, max);
	return 0;
}

static int parse_text(const struct settings_row *row, struct str text, const char **field, struct err *err)
{
	int r = check_length(row, text.len, LS_MIN(row->max, (uint64_t)VALUE_LENGTH_MAX), err);

	if (r == 0)
		r = check_text(row, text, err);
	if (r < 0)
		return r;
	free((void *)*field);
	*field = xmemdup0(text.p, text.len);
	return 0;
}

static int parse_bytes(const struct settings_row *row, struct str text, struct str *field, struct err *err)
{
	char decoded[4 * BYTES_MAX + 1];
	char shown[GIVEN_MAX];
	uint64_t max = LS_MIN(row->max, (uint64_t)BYTES_MAX);
	ssize_t len;
	int r;

	/* As text a byte takes four at most. */
	if (text.len > 4 * max)
		return check_length(row, text.len, max, err);
	len = escape_decode(text, decoded);
	if (len < 0)
		return err_set(err, -EINVAL,
		               "%s is %s, but after a backslash only r, n, t, 0, xHH and a backslash have a meaning",
		               row->name, given(text, shown));
	r = check_length(row, (size_t)len, max, err);
	if (r < 0)
		return r;
	free((void *)field->p);
	*field = str_make(xmemdup0(decoded, (size_t)len), (size_t)len);
	return 0;
}

static void clear_list(struct settings_list *list)
{
	for (unsigned i = 0; i < list->count; i++)
		free((void *)list->items[i]);
	free(list->items);
	*list = (struct settings_list){ 0 };
}

static int parse_list(const struct settings_row *row, struct str text, struct settings_list *field, struct err *err)
{
	struct settings_list list = { 0 };
	struct str rest = text;
	int r = check_length(row, text.len, VALUE_LENGTH_MAX, err);

	if (r == 0)
		r = check_text(row, text, err);
	if (r < 0)
		return r;
	list.items = xalloc(sizeof(char *) * (row->max + 1));
	while (rest.p) {
		struct str item = str_trim(str_split(&rest, ','));

		if (item.len == 0)
			continue;
		if (list.count == row->max) {
			clear_list(&list);
			return err_set(err, -ERANGE, "%s has too many items: it must be at most %" PRIu64, row->name,
			               row->max);
		}
		list.items[list.count++] = xmemdup0(item.p, item.len);
	}
	clear_list(field);
	*field = list;
	return 0;
}

/* One-letter names differ by case (package_length_type), words do not. */
static int parse_enum(const struct settings_row *row, struct str text, int *field, struct err *err)
{
	struct str word = str_trim(text);

	for (const struct settings_names *n = row->names; n->name; n++) {
		struct str name = str_from(n->name);

		if (str_eq(word, name) || (name.len > 1 && str_ieq(word, name))) {
			*field = n->value;
			return 0;
		}
	}
	return refuse(row, text, err);
}

int value_parse(const struct settings_row *row, struct str text, void *field, struct err *err)
{
	switch (row->kind) {
	case VALUE_BOOL:
		return parse_bool(row, text, field, err);
	case VALUE_UINT:
	case VALUE_TIME:
	case VALUE_SIZE:
		return parse_number(row, text, field, err);
	case VALUE_STR:
	case VALUE_PATH:
		return parse_text(row, text, field, err);
	case VALUE_BYTES:
		return parse_bytes(row, text, field, err);
	case VALUE_LIST:
		return parse_list(row, text, field, err);
	case VALUE_ENUM:
		return parse_enum(row, text, field, err);
	}
	return err_set(err, -EINVAL, "%s has a type that is not known", row->name);
}

static bool equal_lists(const struct settings_list *a, const struct settings_list *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (!str_eq(str_from(a->items[i]), str_from(b->items[i])))
			return false;
	return true;
}

bool value_equal(const struct settings_row *row, const void *a, const void *b)
{
	switch (row->kind) {
	case VALUE_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case VALUE_UINT:
	case VALUE_TIME:
	case VALUE_SIZE:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case VALUE_STR:
	case VALUE_PATH:
		return str_eq(str_from(*(const char *const *)a), str_from(*(const char *const *)b));
	case VALUE_BYTES:
		return str_eq(*(const struct str *)a, *(const struct str *)b);
	case VALUE_LIST:
		return equal_lists(a, b);
	case VALUE_ENUM:
		return *(const int *)a == *(const int *)b;
	}
	return false;
}

static struct settings_list copy_list(const struct settings_list *from)
{
	struct settings_list list = { .items = xalloc(sizeof(char *) * (from->count + 1)), .count = from->count };

	for (unsigned i = 0; i < from->count; i++)
		list.items[i] = xstrdup(from->items[i]);
	return list;
}

void value_copy(const struct settings_row *row, void *to, const void *from)
{
	const struct str *bytes = from;
	const char *text;

	value_clear(row, to);
	switch (row->kind) {
	case VALUE_BOOL:
		*(bool *)to = *(const bool *)from;
		break;
	case VALUE_UINT:
	case VALUE_TIME:
	case VALUE_SIZE:
		*(uint64_t *)to = *(const uint64_t *)from;
		break;
	case VALUE_STR:
	case VALUE_PATH:
		text = *(const char *const *)from;
		*(const char **)to = xstrdup(text ? text : "");
		break;
	case VALUE_BYTES:
		*(struct str *)to = str_make(xmemdup0(bytes->p, bytes->len), bytes->len);
		break;
	case VALUE_LIST:
		*(struct settings_list *)to = copy_list(from);
		break;
	case VALUE_ENUM:
		*(int *)to = *(const int *)from;
		break;
	}
}

void value_clear(const struct settings_row *row, void *field)
{
	if (row->kind == VALUE_STR || row->kind == VALUE_PATH) {
		free(*(void **)field);
		*(const char **)field = NULL;
	} else if (row->kind == VALUE_BYTES) {
		free((void *)((struct str *)field)->p);
		*(struct str *)field = (struct str){ 0 };
	} else if (row->kind == VALUE_LIST) {
		clear_list(field);
	}
}
