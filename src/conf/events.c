/* The events an app may register, made from events.def. */
#include "base/bits.h"
#include "conf/settings.h"

#include <limits.h>

enum { WORD_MAX = 64 };

static const struct event_row {
	const char *name;
	bool port;
	const char *doc;
} rows[] = {
#define EVENT_IS_SERVER false
#define EVENT_IS_PORT true
#define EVENT(scope, name, doc) { #name, EVENT_IS_##scope, doc },
#include "conf/events.def"
#undef EVENT
};

/* Only letters and digits, in lower case, so that "WorkerStart", "worker_start" and "workerstart" are one. */
static struct str squeeze(struct str name, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < name.len && len < WORD_MAX; i++) {
		char c = name.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		if (c != '_')
			out[len++] = c;
	}
	return str_make(out, len);
}

static int find_squeezed(struct str word)
{
	char buf[WORD_MAX];

	for (int i = 0; i < EVENTS; i++)
		if (str_eq(word, squeeze(str_from(rows[i].name), buf)))
			return i;
	return -1;
}

int settings_event_find(struct str name)
{
	char buf[WORD_MAX];
	struct str word = squeeze(name, buf);
	int event = find_squeezed(word);

	if (event < 0 && str_starts(word, LS_STR("on")))
		event = find_squeezed(str_skip(word, 2));
	return event;
}

const char *settings_event_name(int event)
{
	return event >= 0 && event < EVENTS ? rows[event].name : "unknown";
}

bool settings_event_is_port(int event)
{
	return event >= 0 && event < EVENTS && rows[event].port;
}

const char *settings_event_doc(int event)
{
	return event >= 0 && event < EVENTS ? rows[event].doc : "";
}

const char *settings_event_nearest(struct str name)
{
	char given_buf[WORD_MAX], row_buf[WORD_MAX];
	struct str word = squeeze(name, given_buf);
	unsigned best = UINT_MAX;
	int nearest = 0;

	if (str_starts(word, LS_STR("on")))
		word = str_skip(word, 2);
	for (int i = 0; i < EVENTS; i++) {
		unsigned distance = str_distance(word, squeeze(str_from(rows[i].name), row_buf));

		if (distance < best) {
			best = distance;
			nearest = i;
		}
	}
	return rows[nearest].name;
}
