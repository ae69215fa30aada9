/* t/unit/test_key.c — the four forms of dispatch_key, and what is none of them. */
#include "conf/key.c"

#include "tap.h"

int main(void)
{
	static const char *const bad[] = {
		"",        "header:",  "cookie:",  "path:",     "path:0",     "path:x",
		"bytes:1", "bytes:1:", "bytes::1", "bytes:1:0", "bytes:-1:2", "bytes:99999999999:1",
		"user",    "Header:a"
	};
	struct key key = { 0 };
	bool refused = true;

	ok(key_parse(LS_STR("header:X-User"), &key) == 0 && key.kind == KEY_HEADER &&
	           str_eq(key.name, LS_STR("X-User")),
	   "a field");
	ok(key_parse(LS_STR("cookie:sid"), &key) == 0 && key.kind == KEY_COOKIE && str_eq(key.name, LS_STR("sid")),
	   "a cookie");
	ok(key_parse(LS_STR("path:2"), &key) == 0 && key.kind == KEY_PATH && key.segments == 2, "segments of the path");
	ok(key_parse(LS_STR("bytes:4:8"), &key) == 0 && key.kind == KEY_BYTES && key.offset == 4 && key.length == 8,
	   "bytes");
	for (size_t i = 0; i < LS_COUNT(bad); i++)
		refused = refused && key_parse(str_from(bad[i]), &key) == -EINVAL;
	ok(refused && key.kind == KEY_BYTES, "nothing else");
	return tap_done();
}
