/* t/unit/test_accept_encoding.c — weights, and what is malformed. */
#include "proto/accept_encoding.c"

#include "tap.h"

static enum http_coding choose(const char *accept, unsigned offered)
{
	static _Alignas(8) char image[1024];
	struct http_head_builder b = { 0 };
	struct str parts[3], fields = str_from(accept);
	struct http_view v;
	size_t at = 0;

	http_head_begin(&b);
	while (fields.p)
		http_head_add(&b, LS_STR("accept-encoding"), str_split(&fields, '|'));
	http_head_parts(&b, parts);
	for (int i = 0; i < 3; i++) {
		memcpy(image + at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	http_head_fini(&b);
	(void)http_head_check(str_make(image, at), &v);
	return accept_encoding_choose(&v, offered);
}

int main(void)
{
	enum { GZIP = 1 << CODING_GZIP, BOTH = GZIP | 1 << CODING_BROTLI };
	static const struct {
		const char *accept;
		unsigned offered;
		enum http_coding chosen;
	} cases[] = {
		{ "gzip, deflate, br, zstd", BOTH, CODING_BROTLI },
		{ "gzip, deflate, br, zstd", GZIP, CODING_GZIP },
		{ "br", GZIP, CODING_IDENTITY },
		{ "gzip;q=1.0, br;q=0.9", BOTH, CODING_GZIP },
		{ "gzip;q=1.000|br;q=1", BOTH, CODING_BROTLI },
		{ "gzip;q=1.001", BOTH, CODING_IDENTITY },
		{ "gzip;q=0.", BOTH, CODING_IDENTITY },
		{ "gzip;q=.5", BOTH, CODING_IDENTITY },
		{ "gzip;q=0.1234", BOTH, CODING_IDENTITY },
		{ "gzip ; Q=0.1", BOTH, CODING_GZIP },
		{ "*;q=0.5, gzip;q=0", BOTH, CODING_BROTLI },
		{ "identity;q=0", BOTH, CODING_IDENTITY },
		{ ";;;,=,q=1,;q=", BOTH, CODING_IDENTITY },
		{ "", BOTH, CODING_IDENTITY },
	};

	for (size_t i = 0; i < LS_COUNT(cases); i++)
		ok(choose(cases[i].accept, cases[i].offered) == cases[i].chosen, "\"%s\"", cases[i].accept);
	return tap_done();
}
