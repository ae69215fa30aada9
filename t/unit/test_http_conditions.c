/* t/unit/test_http_conditions.c — dates, tags, ranges. */
#include "proto/http_conditions.c"

#include "head_stub.h"
#include "tap.h"

/* Judges a GET with these lines "name: value" on something of 1994-11-06 08:49:37 with the tag "x". */
static struct http_verdict judge(const char *lines, uint64_t size)
{
	struct http_entity e = { .etag = LS_STR("\"x\""), .modified = 784111777, .size = size };
	struct http_view v = head_stub(lines);

	return http_conditions_judge(&v, &e);
}

static void dates(void)
{
	static const char *const same[] = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
		                            "Sun Nov  6 08:49:37 1994" };
	static const char *const none[] = { "", "yesterday", "Sun, 06 Nov 1994 08:49:37",
		                            "Sun, 06 Nov 1994 08:49:37 GMT and more", "Sun, 46 Nov 1994 08:49:37 GMT" };
	int64_t t;

	for (size_t i = 0; i < LS_COUNT(same); i++)
		ok(http_date_parse(str_from(same[i]), &t) && t == 784111777, "%s", same[i]);
	for (size_t i = 0; i < LS_COUNT(none); i++)
		ok(!http_date_parse(str_from(none[i]), &t), "\"%s\" is none", none[i]);
}

int main(void)
{
	static const struct {
		const char *lines;
		int status;
		uint64_t off, len;
	} cases[] = {
		{ "", 200, 0, 1000 },
		{ "if-none-match: \"x\"\nrange: bytes=0-1", 304, 0, 0 },
		{ "if-match: \"y\"\nif-none-match: \"x\"", 412, 0, 0 },
		{ "if-match: \"y\", \"x\"\nrange: bytes=0-1", 206, 0, 2 },
		{ "range: bytes=0-1\nif-range: W/\"x\"", 200, 0, 1000 },
		{ "range: bytes=0-1\nif-range: \"x\"", 206, 0, 2 },
		{ "range: bytes=0-1\nif-range: Sun, 06 Nov 1994 08:49:37 GMT", 206, 0, 2 },
		{ "range: bytes=0-1\nif-range: Sun, 06 Nov 1994 08:49:38 GMT", 200, 0, 1000 },
		{ "range: bytes= 998 - ", 206, 998, 2 },
		{ "range: bytes=-1", 206, 999, 1 },
		{ "range: bytes=-0", 416, 0, 0 },
		{ "range: bytes=1000-", 416, 0, 0 },
		{ "range: bytes=18446744073709551615-", 416, 0, 0 },
		{ "range: bytes=18446744073709551616-", 200, 0, 1000 },
		{ "range: bytes=0-18446744073709551615", 206, 0, 1000 },
	};

	for (size_t i = 0; i < LS_COUNT(cases); i++) {
		struct http_verdict v = judge(cases[i].lines, 1000);

		ok(v.status == cases[i].status && v.off == cases[i].off && v.len == cases[i].len, "%d: %s", v.status,
		   cases[i].lines);
	}
	ok(judge("range: bytes=-1", 0).status == 416, "nothing has no ranges");
	dates();
	return tap_done();
}
