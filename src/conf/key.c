#include "conf/key.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

enum { NUMBER_MAX = 65536 };

/* A number from 0 to NUMBER_MAX and nothing else. */
static int take_number(struct str text, uint32_t *out)
{
	uint32_t n = 0;

	if (text.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
		n = 10 * n + (uint32_t)(text.p[i] - '0');
		if (n > NUMBER_MAX)
			return -EINVAL;
	}
	*out = n;
	return 0;
}

static int take_name(struct str rest, struct key *out)
{
	out->name = rest;
	return rest.len > 0 ? 0 : -EINVAL;
}

static int take_path(struct str rest, struct key *out)
{
	return take_number(rest, &out->segments) == 0 && out->segments > 0 ? 0 : -EINVAL;
}

static int take_bytes(struct str rest, struct key *out)
{
	ssize_t colon = str_find(rest, LS_STR(":"));

	if (colon < 0 || take_number(str_take(rest, (size_t)colon), &out->offset) < 0)
		return -EINVAL;
	return take_number(str_skip(rest, (size_t)colon + 1), &out->length) == 0 && out->length > 0 ? 0 : -EINVAL;
}

static const struct {
	const char *prefix;
	enum key_kind kind;
	int (*take)(struct str rest, struct key *out);
} kinds[] = {
	{ "header:", KEY_HEADER, take_name },
	{ "cookie:", KEY_COOKIE, take_name },
	{ "path:", KEY_PATH, take_path },
	{ "bytes:", KEY_BYTES, take_bytes },
};

int key_parse(struct str text, struct key *out)
{
	for (size_t i = 0; i < LS_COUNT(kinds); i++) {
		struct str prefix = str_from(kinds[i].prefix);
		struct key key = { .kind = kinds[i].kind };

		if (!str_starts(text, prefix))
			continue;

		int r = kinds[i].take(str_skip(text, prefix.len), &key);

		if (r == 0)
			*out = key;
		return r;
	}
	return -EINVAL;
}
