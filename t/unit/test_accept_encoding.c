/* t/unit/test_accept_encoding.c — weights, and what is malformed. */
#include "proto/accept_encoding.c"

#include "head_stub.h"
#include "tap.h"

#include <stdio.h>

static enum http_coding choose(const char *accept, unsigned offered)
{
	char lines[256];
	struct http_view v;

	snprintf(lines, sizeof lines, "accept-encoding: %s", accept);
	v = head_stub(lines);
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
		{ "gzip;q=1.000\naccept-encoding: br;q=1", BOTH, CODING_BROTLI },
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
