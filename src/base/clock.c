#include "base/clock.h"

#include <stdio.h>
#include <time.h>

enum { HTTP_DATE_LEN = 29 };

/* One thread's date and until when (monotonic) it is right. */
struct http_date {
	uint64_t until_ms;
	char text[64];
};

static _Thread_local struct http_date cached_date;

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail for the clocks used here */
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t clock_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_ms(void)
{
	return read_ns(CLOCK_MONOTONIC) / 1000000;
}

uint64_t clock_wall_us(void)
{
	return read_ns(CLOCK_REALTIME) / 1000;
}

/* Names are not strftime()'s, which follow the locale that an application may have set. */
static void format_date(time_t seconds, char *out, size_t cap)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
		                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	int n;

	gmtime_r(&seconds, &tm);
	n = snprintf(out, cap, "%s, %02d %s ", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon]);
	strftime(out + n, cap - (size_t)n, "%Y %H:%M:%S GMT", &tm);
}

struct str clock_http_date(uint64_t now_ms)
{
	struct http_date *date = &cached_date;

	if (now_ms >= date->until_ms) {
		uint64_t wall_ms = clock_wall_us() / 1000;

		format_date((time_t)(wall_ms / 1000), date->text, sizeof date->text);
		date->until_ms = now_ms + 1000 - wall_ms % 1000; /* the next whole second */
	}
	return (struct str){ date->text, HTTP_DATE_LEN };
}
