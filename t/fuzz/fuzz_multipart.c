/* Forms with files: however the bytes are cut, the parts are the same. */
#include "fuzz.h"

#include "proto/multipart.h"

static int on_begin(void *ctx, const struct multipart_part *part)
{
	(void)ctx;
	fuzz_mix("(", 1);
	fuzz_mix(part->name.p, part->name.len);
	fuzz_mix(part->filename.p, part->filename.len);
	fuzz_mix(part->type.p, part->type.len);
	return 0;
}

static int on_data(void *ctx, struct str bytes)
{
	(void)ctx;
	fuzz_check(bytes.len > 0);
	fuzz_mix(bytes.p, bytes.len);
	return 0;
}

static int on_end(void *ctx)
{
	(void)ctx;
	fuzz_mix(")", 1);
	return 0;
}

/* 0 or the error, with what was handed on in fuzz_hash. */
static int read_form(struct str bytes, bool cut)
{
	static const struct multipart_sink sink = { .begin = on_begin, .data = on_data, .end = on_end };
	struct multipart *m = multipart_new(LS_STR("multipart/form-data; boundary=b"), &sink, NULL);
	int code = 0;

	fuzz_check(m != NULL);
	fuzz_hash = 0xcbf29ce484222325;
	while (bytes.len && code == 0) {
		struct str piece = str_take(bytes, cut ? 1 + fuzz_random() % 7 : bytes.len);
		size_t len;
		char *copy = fuzz_copy(&piece, 1, &len);

		code = multipart_feed(m, str_make(copy, len));
		free(copy);
		bytes = str_skip(bytes, len);
	}
	if (code == 0)
		code = multipart_finish(m);
	multipart_free(m);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_skip(str_make(data, size), FUZZ_SEED);
	uint64_t hash;
	int code;

	if (size < FUZZ_SEED)
		return 0;
	memcpy(&fuzz_random_state, data, FUZZ_SEED);
	code = read_form(bytes, false);
	hash = fuzz_hash;
	fuzz_check(read_form(bytes, true) == code);
	fuzz_check(code != 0 || fuzz_hash == hash);
	/* Its Content-Type may be anything. */
	multipart_free(multipart_new(bytes, NULL, NULL));
	return 0;
}
