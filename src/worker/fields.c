#include "worker/fields.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		bool usual = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';

		if (!usual && !memchr("!#$%&'*+.^_`|~", c, 14))
			return false;
	}
	return s.len > 0;
}

bool fields_is_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
			return false;
	return true;
}

bool fields_may_trail(struct str name)
{
	static const char *const head_only[] = {
		"age",
		"authorization",
		"cache-control",
		"connection",
		"content-encoding",
		"content-length",
		"content-range",
		"content-type",
		"date",
		"expires",
		"host",
		"keep-alive",
		"location",
		"retry-after",
		"set-cookie",
		"te",
		"trailer",
		"transfer-encoding",
		"upgrade",
		"vary",
		"warning",
		"www-authenticate",
	};

	for (size_t i = 0; i < LS_COUNT(head_only); i++)
		if (str_ieq(name, str_from(head_only[i])))
			return false;
	return true;
}

static struct str keep(struct arena *a, struct str s)
{
	return str_make(arena_dup(a, s.p, s.len), s.len);
}

static uint32_t size_of(struct str name, struct str value)
{
	return (uint32_t)(sizeof(struct http_field) + name.len + value.len);
}

static bool fits(const struct fields *f, struct str name, struct str value, bool add, uint32_t size_max)
{
	uint64_t size = size_of(name, value) + (uint64_t)f->size;
	unsigned n = f->n + 1;

	for (unsigned i = 0; i < f->n && !add; i++)
		if (str_ieq(f->at[i].name, name)) {
			size -= size_of(f->at[i].name, f->at[i].value);
			n--;
		}
	return n <= RESPONSE_FIELDS_MAX && name.len <= size_max && value.len <= size_max && size <= size_max;
}

void fields_remove(struct fields *f, struct str name)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < f->n; i++) {
		if (str_ieq(f->at[i].name, name))
			f->size -= size_of(f->at[i].name, f->at[i].value);
		else
			f->at[kept++] = f->at[i];
	}
	f->n = kept;
}

static void grow(struct fields *f, struct arena *a)
{
	unsigned cap = f->cap ? 2 * f->cap : 8;
	struct response_field *grown = arena_alloc(a, cap * sizeof *grown);

	if (f->n)
		memcpy(grown, f->at, f->n * sizeof *grown);
	f->at = grown;
	f->cap = cap;
}

int fields_put(struct fields *f, struct arena *a, uint32_t size_max, struct str name, struct str value, bool add)
{
	if (!is_token(name) || !fields_is_value(value))
		return -EINVAL;
	if (!fits(f, name, value, add, size_max))
		return -E2BIG;
	if (!add && f->n > 0)
		fields_remove(f, name);
	if (f->n == f->cap)
		grow(f, a);
	f->at[f->n++] = (struct response_field){ keep(a, name), keep(a, value) };
	f->size += size_of(name, value);
	return 0;
}

struct str fields_get(const struct fields *f, struct str name)
{
	for (unsigned i = 0; i < f->n; i++)
		if (str_ieq(f->at[i].name, name))
			return f->at[i].value;
	return (struct str){ 0 };
}

bool fields_has(const struct fields *f, struct str name)
{
	return fields_get(f, name).p;
}

int fields_build(const struct fields *f, struct http_head_builder *b)
{
	int code = 0;

	for (unsigned i = 0; i < f->n && code == 0; i++)
		code = http_head_add(b, f->at[i].name, f->at[i].value);
	return code;
}
