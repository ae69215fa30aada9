/* Head images of a worker: what passes the check is in bounds and leaves as one head or as trailers, or is refused whole. */
#include "fuzz.h"
#include "proto/http_out.h"

/* Nobody but us ends what was written. */
static void check_written(struct chain *out, int r)
{
	struct iovec iov;

	if (r < 0) {
		fuzz_check(chain_empty(out));
		return;
	}
	fuzz_check(chain_iov(out, &iov, 1) == 1 && out->bytes == iov.iov_len);
	fuzz_check(memmem(iov.iov_base, iov.iov_len, "\r\n\r\n", 4) == (char *)iov.iov_base + iov.iov_len - 4 ||
	           (iov.iov_len == 5 && !memcmp(iov.iov_base, "0\r\n\r\n", 5)));
	chain_clear(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_out o = { .length = size, .server = true };
	struct chain out = { 0 };
	struct http_view v;
	size_t len;
	char *copy = fuzz_copy(&(struct str){ (const char *)data, size }, 1, &len);

	if (len >= sizeof(uint32_t))
		memcpy(copy, &(uint32_t){ (uint32_t)len }, sizeof(uint32_t)); /* struct http_head.size */
	if (http_head_check(str_make(copy, len), &v) == 0) {
		check_written(&out, http_out_head(&out, &v, &o));
		check_written(&out, http_out_trailers(&out, &v));
	}
	free(copy);
	return 0;
}
