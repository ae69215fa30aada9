/* Heads of requests from text, for tests of what looks at their fields. */
#pragma once

#include "proto/http_head.h"

#include <stdlib.h>

/* A GET of HTTP/1.1 with these lines "name: value\n"; valid until the next call. */
static inline struct http_view head_stub(const char *lines)
{
	static _Alignas(8) char image[8192];
	struct http_head_builder b = { 0 };
	struct str parts[3], rest = str_from(lines);
	struct http_view v;
	size_t at = 0;

	http_head_begin(&b);
	b.head.method = HTTP_METHOD_GET;
	b.head.version_minor = 1;
	while (rest.len) {
		struct str value = str_split(&rest, '\n'), name = str_split(&value, ':');

		if (http_head_add(&b, name, str_trim(value)) < 0)
			abort();
	}
	http_head_parts(&b, parts);
	for (int i = 0; i < 3; i++) {
		if (at + parts[i].len > sizeof image)
			abort();
		if (parts[i].len)
			memcpy(image + at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	http_head_fini(&b);
	if (http_head_check(str_make(image, at), &v) != 0)
		abort();
	return v;
}
