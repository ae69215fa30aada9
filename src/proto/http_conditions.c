#include "proto/http_conditions.h"

#include "base/bits.h"

#include <time.h>

bool http_date_parse(struct str text, int64_t *out)
{
	static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
		                             "%a %b %d %H:%M:%S %Y" };
	char room[64];

	if (!str_copy(text, room, sizeof room))
		return false;
	for (size_t i = 0; i < LS_COUNT(forms); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(room, forms[i], &tm);

		if (!end || *end)
			continue;
		*out = timegm(&tm);
		return true;
	}
	return false;
}

static struct str without_weakness(struct str tag)
{
	return str_starts(tag, LS_STR("W/")) ? str_skip(tag, 2) : tag;
}

/* Whether one of a field's tags is ours; `weak`: by the weak comparison (§8.8.3.2).  Tags hold no comma here that would matter: ours has
 * none. */
static bool names_tag(struct str list, struct str etag, bool weak)
{
	while (list.p) {
		struct str tag = str_trim(str_split(&list, ','));

		if (str_eq(tag, LS_STR("*")) || str_eq(weak ? without_weakness(tag) : tag, etag))
			return true;
	}
	return false;
}

static struct str field(const struct http_view *v, const char *name)
{
	return http_head_find(v, str_from(name));
}

/* Preconditions that must hold (§13.2.2, steps 1 and 2). */
static bool may_be_done(const struct http_view *v, const struct http_entity *e)
{
	struct str match = field(v, "if-match"), since = field(v, "if-unmodified-since");
	int64_t date;

	if (match.p)
		return names_tag(match, e->etag, false);
	return !since.p || !http_date_parse(since, &date) || e->modified <= date;
}

/* The client has it already (steps 3 and 4). */
static bool is_known(const struct http_view *v, const struct http_entity *e)
{
	struct str match = field(v, "if-none-match"), since = field(v, "if-modified-since");
	int64_t date;

	if (match.p)
		return names_tag(match, e->etag, true);
	return since.p && http_date_parse(since, &date) && e->modified <= date;
}

/* If-Range: what the client has of it is of this very version (§13.1.5). */
static bool range_counts(const struct http_view *v, const struct http_entity *e)
{
	struct str condition = field(v, "if-range");
	int64_t date;

	if (!condition.p)
		return true;
	if (condition.len && (condition.p[0] == '"' || str_starts(condition, LS_STR("W/"))))
		return str_eq(condition, e->etag);
	return http_date_parse(condition, &date) && date == e->modified;
}

/* "5-9", "5-", "-5".  False: no range at all. */
static bool read_range(struct str text, uint64_t size, uint64_t *first, uint64_t *last)
{
	ssize_t dash = str_chr(text, '-');
	struct str from = dash < 0 ? text : str_trim(str_take(text, (size_t)dash));
	struct str to = dash < 0 ? text : str_trim(str_skip(text, (size_t)dash + 1));
	bool has_from = from.len > 0, has_to = to.len > 0;

	if (dash < 0 || (!has_from && !has_to) || (has_from && str_to_u64(from, first) < 0) ||
	    (has_to && str_to_u64(to, last) < 0))
		return false;
	if (!has_from) /* the last so many bytes; the last 0 are none at all */
		*first = size - LS_MIN(*last, size);
	if (!has_from || !has_to)
		*last = UINT64_MAX;
	return *first <= *last;
}

/* One range is honoured; several, and what is malformed, are answered with everything (§14.2). */
static struct http_verdict apply_range(struct str range, const struct http_entity *e)
{
	struct http_verdict whole = { .status = 200, .len = e->size };
	uint64_t first, last;

	if (!str_ieq(str_take(range, 6), LS_STR("bytes=")) || str_chr(range, ',') >= 0 ||
	    !read_range(str_trim(str_skip(range, 6)), e->size, &first, &last))
		return whole;
	if (first >= e->size)
		return (struct http_verdict){ .status = 416 };
	return (struct http_verdict){ .status = 206, .off = first, .len = LS_MIN(last, e->size - 1) - first + 1 };
}

struct http_verdict http_conditions_judge(const struct http_view *v, const struct http_entity *e)
{
	struct str range = field(v, "range");

	if (!may_be_done(v, e))
		return (struct http_verdict){ .status = 412 };
	if (is_known(v, e))
		return (struct http_verdict){ .status = 304 };
	if (range.p && v->head->method == HTTP_METHOD_GET && range_counts(v, e))
		return apply_range(range, e);
	return (struct http_verdict){ .status = 200, .len = e->size };
}
