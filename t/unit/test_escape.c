/* t/unit/test_escape.c — any bytes become one line of ASCII and come back. */
#include "conf/escape.c"

#include "tap.h"

static void round_trip_of_all_bytes(void)
{
	char all[256], text[4 * sizeof all + 1], back[sizeof text + 1];
	bool plain = true;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	escape_encode(str_make(all, sizeof all), text);
	for (const char *p = text; *p; p++)
		plain = plain && *p >= 0x20 && *p < 0x7f;
	ok(plain, "the text is printable ASCII");
	ok(escape_decode(str_from(text), back) == 256 && memcmp(all, back, sizeof all) == 0, "all 256 bytes come back");
}

static void spellings(void)
{
	char out[64];

	ok(strcmp(escape_encode(LS_STR("\r\n\t\0\\\x7f z"), out), "\\r\\n\\t\\0\\\\\\x7f z") == 0, "encoded: %s", out);
	ok(escape_decode(LS_STR("\\xFf\\x0a"), out) == 2 && memcmp(out, "\xff\n", 2) == 0, "hex in both cases");
	ok(escape_decode(LS_STR(""), out) == 0 && out[0] == '\0', "nothing stays nothing");
}

static void refuses_what_is_no_escape(void)
{
	static const char *const wrong[] = { "\\", "a\\", "\\q", "\\x", "\\x1", "\\xg0", "\\x0g" };
	char out[16];

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		ok(escape_decode(str_from(wrong[i]), out) == -EINVAL, "%s is refused", wrong[i]);
}

int main(void)
{
	round_trip_of_all_bytes();
	spellings();
	refuses_what_is_no_escape();
	return tap_done();
}
