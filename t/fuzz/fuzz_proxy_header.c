/* PROXY protocol headers: what is whole stays whole with more behind it, and never reads outside. */
#include "proto/proxy_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, part;
	char *exact = malloc(size ? size : 1); /* so that ASan sees its end */
	ssize_t n;

	if (size)
		memcpy(exact, data, size);
	n = proxy_header_parse(str_make(exact, size), &whole);
	if (n > (ssize_t)size || n > PROXY_HEADER_MAX || (n < 0 && n != -EBADMSG && n != -EMSGSIZE))
		abort();
	/* A prefix asks for more or is refused, but is never a header itself. */
	for (size_t i = 0; n > 0 && i < (size_t)n; i++)
		if (proxy_header_parse(str_make(exact, i), &part) > 0)
			abort();
	if (n > 0 &&
	    (proxy_header_parse(str_make(exact, (size_t)n), &part) != n || memcmp(&whole, &part, sizeof whole) != 0))
		abort();
	free(exact);
	return 0;
}
