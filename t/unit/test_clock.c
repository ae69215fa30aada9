/* t/unit/test_clock.c — clocks agree with each other; the date has its fixed form and is made once a second. */
#include "base/clock.c"

#include "tap.h"

static void clocks_agree(void)
{
	uint64_t ns = clock_ns(), ms = clock_ms(), later = clock_ns();

	ok(ns / 1000000 <= ms && ms <= later / 1000000, "milliseconds lie between two readings in nanoseconds");
	ok(clock_wall_us() / 1000000 - (uint64_t)time(NULL) + 1 <= 2, "the wall clock is time()'s");
}

static void formats_dates(void)
{
	static const struct {
		time_t at;
		const char *text;
	} rows[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },          { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 951782399, "Mon, 28 Feb 2000 23:59:59 GMT" },  { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 1795342795, "Sun, 22 Nov 2026 10:19:55 GMT" }, { 4102444799, "Thu, 31 Dec 2099 23:59:59 GMT" },
	};
	char out[64];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		format_date(rows[i].at, out, sizeof out);
		ok(strcmp(out, rows[i].text) == 0 && strlen(out) == HTTP_DATE_LEN, "%s", out);
	}
}

static void caches_the_date(void)
{
	struct str date = clock_http_date(5000);
	uint64_t until = cached_date.until_ms;

	ok(date.len == HTTP_DATE_LEN, "29 bytes");
	ok(until > 5000 && until <= 6000, "right until the second ends");
	cached_date.text[0] = '?';
	ok(clock_http_date(until - 1).p[0] == '?', "not made anew before");
	ok(clock_http_date(until).p[0] != '?' && cached_date.until_ms > until, "but then");
}

int main(void)
{
	clocks_agree();
	formats_dates();
	caches_the_date();
	return tap_done();
}
