/* Accept-Encoding: whatever it says, the choice is one of those that were offered. */
#include "fuzz.h"

#include "proto/accept_encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned offered = size ? data[0] & ((1u << CODINGS) - 1) : 0;
	struct str text = str_skip(str_make(data, size), 1), parts[3];
	struct http_head_builder b = { 0 };
	enum http_coding chosen;
	struct http_view v;
	size_t len;
	char *image;

	http_head_begin(&b);
	while (text.p && http_head_add(&b, LS_STR("accept-encoding"), str_split(&text, '\n')) == 0)
		; /* an image has room for 1000 */
	http_head_parts(&b, parts);
	image = fuzz_copy(parts, 3, &len);
	if (http_head_check(str_make(image, len), &v) == 0) {
		chosen = accept_encoding_choose(&v, offered);
		fuzz_check(chosen == CODING_IDENTITY || offered & 1u << chosen);
	}
	free(image);
	http_head_fini(&b);
	return 0;
}
