/* t/unit/test_multipart.c — parts, whole and in pieces of every size; boundaries and parameters. */
#include "proto/multipart.c"

#include "base/bits.h"
#include "tap.h"

#include <stdio.h>

static char told[1000];
static int refuse; /* data() returns this */

static void tell(const char *before, struct str s)
{
	size_t at = strlen(told);

	snprintf(told + at, sizeof told - at, "%s%.*s", before, LS_STR_ARG(s));
}

static int on_begin(void *ctx, const struct multipart_part *part)
{
	(void)ctx;
	tell("<", part->name);
	if (part->filename.p)
		tell(" file=", part->filename);
	if (part->type.len)
		tell(" type=", part->type);
	tell(">", LS_STR(""));
	return 0;
}

static int on_data(void *ctx, struct str bytes)
{
	(void)ctx;
	tell("", bytes);
	return refuse;
}

static int on_end(void *ctx)
{
	(void)ctx;
	tell("</>", LS_STR(""));
	return 0;
}

static const struct multipart_sink sink = { on_begin, on_data, on_end };

static int read_form(const char *text, size_t step)
{
	struct multipart *m = multipart_new(LS_STR("multipart/form-data; boundary=B"), &sink, NULL);
	struct str rest = str_from(text);
	int code = 0;

	told[0] = '\0';
	while (rest.len && code == 0) {
		code = multipart_feed(m, str_take(rest, step));
		rest = str_skip(rest, step);
	}
	if (code == 0)
		code = multipart_finish(m);
	multipart_free(m);
	return code;
}

static void boundaries(void)
{
	static const struct {
		const char *type;
		bool sound;
	} types[] = {
		{ "multipart/form-data; boundary=x", true },    { "multipart/form-data; a=b; boundary=\"x y\"", true },
		{ "multipart/form-data;boundary=a;c=d", true }, { "multipart/form-data", false },
		{ "multipart/form-data; boundary=\"x", false }, { "multipart/form-data; boundary=\"x \"", false },
		{ "multipart/form-data; boundary=", false },    { "multipart/form-data; boundary=\xc3\xbc", false },
	};

	for (size_t i = 0; i < LS_COUNT(types); i++) {
		struct multipart *m = multipart_new(str_from(types[i].type), &sink, NULL);

		ok(!m == !types[i].sound, "%s", types[i].type);
		multipart_free(m);
	}
	ok(multipart_is_type(LS_STR("Multipart/FORM-data ; x")) &&
	           !multipart_is_type(LS_STR("multipart/mixed; boundary=x")),
	   "the type itself");
}

int main(void)
{
	const char *form =
		"before\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n-\r\n--\r\n"
		"--B \r\nContent-Disposition: form-data; name=f; filename=\"C:\\d\\x\\\"y\"\r\nContent-Type: text/x\r\n\r\n\r\n"
		"--B--\r\nafter --B";
	const char *parts = "<a>one\r\n-\r\n--</><f file=x\"y type=text/x></>";
	bool same = true;

	for (size_t step = 1; step < 60; step++)
		same &= read_form(form, step) == 0 && strcmp(told, parts) == 0;
	ok(same, "the same parts, in pieces of every size");
	ok(read_form("--B--", 100) == 0 && !told[0], "none at all");
	ok(read_form("--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx", 100) == -EBADMSG, "without an end");
	refuse = -EIO;
	ok(read_form(form, 100) == -EIO, "what the sink says is handed on");
	boundaries();
	buf_trim();
	return tap_done();
}
