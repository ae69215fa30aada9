/* What dispatch_key finds in a request or message, as a hash. */
#include "reactor/core.h"

#include "base/bits.h"
#include "base/codec.h"
#include "conf/key.h"
#include "proto/http_head.h"

/* The image as the protocol emits it: its three parts stand where they were built. */
static bool view_of(const struct str *parts, int n, struct http_view *v)
{
	if (n < 3)
		return false;
	v->head = (const struct http_head *)(const void *)parts[0].p;
	v->fields = (const struct http_field *)(const void *)parts[1].p;
	v->text = parts[2].p;
	v->text_len = (uint32_t)parts[2].len;
	return true;
}

static struct str cookie_of(const struct http_view *v, struct str name)
{
	struct str rest = http_head_find(v, LS_STR("cookie"));

	while (rest.len) {
		struct str pair = str_trim(str_split(&rest, ';'));
		struct str key = str_trim(str_split(&pair, '='));

		if (str_eq(key, name))
			return str_trim(pair);
	}
	return (struct str){ 0 };
}

/* Up to the slash that would begin one segment more. */
static struct str path_of(const struct http_view *v, uint32_t segments)
{
	struct str path = http_head_str(v, v->head->path);

	for (size_t i = 1; i < path.len; i++)
		if (path.p[i] == '/' && --segments == 0)
			return str_take(path, i);
	return path;
}

static struct str find_in_request(const struct key *key, const struct str *parts, int n)
{
	struct http_view v;

	if (!view_of(parts, n, &v))
		return (struct str){ 0 };
	switch (key->kind) {
	case KEY_HEADER:
		return http_head_find(&v, key->name);
	case KEY_COOKIE:
		return cookie_of(&v, key->name);
	default:
		return path_of(&v, key->segments);
	}
}

bool keyed_hash(const struct port *port, const struct str *parts, int n, uint64_t *hash)
{
	struct key key;
	struct str found;

	if (n == 0 || key_parse(str_from(port->dispatch_key), &key) < 0)
		return false;
	if (key.kind == KEY_BYTES)
		found = str_take(str_skip(parts[0], LS_MIN(key.offset, parts[0].len)), key.length);
	else
		found = find_in_request(&key, parts, n);
	if (found.len == 0)
		return false;
	*hash = codec_hash(found);
	return true;
}
