/* t/unit/test_value.c — every type takes what people write, prints it in one spelling, refuses with a sentence. */
#include "conf/value.c"

#include "tap.h"

/* Sets `name`'s type of value from text and prints it again. */
static const char *spelt(const char *name, const char *text, struct err *err)
{
	static char out[VALUE_TEXT_MAX];
	const struct settings_row *row = settings_find(name);
	union value v = { 0 };

	*err = (struct err){ 0 };
	if (value_parse(row, str_from(text), &v, err) < 0)
		snprintf(out, sizeof out, "refused %d", err->code);
	else
		value_print(row, &v, out, sizeof out);
	value_clear(row, &v);
	return out;
}

static void takes(const char *name, const char *text, const char *canonical)
{
	struct err err;
	const char *got = spelt(name, text, &err);

	ok(strcmp(got, canonical) == 0, "%s takes \"%s\" as \"%s\": %s %s", name, text, canonical, got, err.text);
}

static void refuses(const char *name, const char *text, int code, const char *sentence)
{
	struct err err;

	spelt(name, text, &err);
	ok(err.code == code && strcmp(err.text, sentence) == 0, "%s: %s (%d)", name, err.text, err.code);
}

static void takes_what_people_write(void)
{
	takes("daemonize", "true", "true");
	takes("daemonize", " Off ", "false");
	takes("daemonize", "1", "true");
	takes("daemonize", "no", "false");
	takes("worker_num", "4", "4");
	takes("worker_num", "auto", "auto");
	takes("max_wait_time", "30", "30s");
	takes("max_wait_time", "0.5", "500ms");
	takes("max_wait_time", "1500ms", "1500ms");
	takes("max_wait_time", "2m", "120s");
	takes("max_wait_time", "2h", "2h");
	takes("max_wait_time", "0", "0");
	takes("max_wait_time", "1d", "1d");
	takes("ring_size", "65536", "64k");
	takes("ring_size", "2M", "2m");
	takes("lua_memory_limit", "1g", "1g");
	takes("lua_memory_limit", "1025", "1025");
	takes("dispatch_mode", "2", "fixed");
	takes("dispatch_mode", "IDLE", "idle");
	takes("protocol", "raw", "tcp");
	takes("package_length_type", "n", "n");
	takes("package_length_type", "N", "N");
	takes("package_eof", "\r\n", "\\r\\n");
	takes("package_eof", "\\r\\n", "\\r\\n");
	takes("package_eof", "\\0\\x41\\\\\\t", "\\0A\\\\\\t");
	takes("package_eof", "\xff", "\\xff");
	takes("image", " a/*.lua, ,b.txt ", "a/*.lua,b.txt");
	takes("image", "", "");
	takes("pid_file", "/run/x.pid", "/run/x.pid");
	takes("user", "", "");
}

static void refuses_with_a_sentence(void)
{
	refuses("worker_num", "5000", -ERANGE, "worker_num is 5000, but it must be 1 to 1024");
	refuses("worker_num", "0", -ERANGE, "worker_num is 0, but it must be 1 to 1024");
	refuses("worker_num", "-1", -ERANGE, "worker_num is -1, but it must be 1 to 1024");
	refuses("worker_num", "99999999999999999999", -ERANGE,
	        "worker_num is 99999999999999999999, but it must be 1 to 1024");
	refuses("worker_num", "four", -EINVAL,
	        "worker_num is \"four\", but it must be a whole number, 1 to 1024, or auto");
	refuses("worker_num", "", -EINVAL, "worker_num is empty, but it must be a whole number, 1 to 1024, or auto");
	refuses("max_coroutine", "auto", -EINVAL,
	        "max_coroutine is \"auto\", but it must be a whole number, 1 to 10000000");
	refuses("daemonize", "maybe", -EINVAL, "daemonize is \"maybe\", but it must be true or false");
	refuses("start_timeout", "50ms", -ERANGE, "start_timeout is 50ms, but it must be 100ms to 1d");
	refuses("start_timeout", "soon", -EINVAL,
	        "start_timeout is \"soon\", but it must be a time such as 30s or 500ms, 100ms to 1d");
	refuses("ring_size", "1k", -ERANGE, "ring_size is 1k, but it must be 64k to 64m");
	refuses("ring_size", "1.5m", -EINVAL, "ring_size is 1.5m, but it must be a size such as 64k or 2m, 64k to 64m");
	refuses("mode", "proces", -EINVAL, "mode is \"proces\", but it must be process, base or single");
	refuses("log_level", "5", -EINVAL, "log_level is 5, but it must be error, warn, notice, info or debug");
	refuses("package_length_type", "X", -EINVAL,
	        "package_length_type is \"X\", but it must be c, C, s, S, n, v, l, L, N, V, q, Q, J or P");
	refuses("package_eof", "", -ERANGE, "package_eof is empty, but it must be 1 to 8 bytes");
	refuses("package_eof", "123456789", -ERANGE, "package_eof is 9 bytes long, but it must be 1 to 8 bytes");
	refuses("package_eof", "\\q", -EINVAL,
	        "package_eof is \"\\\\q\", but after a backslash only r, n, t, 0, xHH and a backslash have a meaning");
	refuses("log_file", "a\nb", -EINVAL, "log_file holds the control byte \\x0a, which it must not");
}

static void bounds_lengths(void)
{
	const struct settings_row *image = settings_find("image"), *user = settings_find("user");
	char many[2 * 66];
	char longer[VALUE_LENGTH_MAX + 2];
	union value v = { 0 };
	struct err err;

	for (size_t i = 0; i < sizeof many; i++)
		many[i] = i % 2 ? ',' : 'x';
	ok(value_parse(image, str_make(many, sizeof many), &v, &err) == -ERANGE, "%s", err.text);
	memset(longer, 'x', sizeof longer);
	ok(value_parse(image, str_make(longer, sizeof longer), &v, &err) == -ERANGE, "%s", err.text);
	ok(value_parse(user, str_make(longer, 65), &v, &err) == -ERANGE, "%s", err.text);
	ok(value_parse(user, str_make(longer, 64), &v, &err) == 0, "64 bytes are a user's name");
	value_clear(user, &v);
}

static void keeps_the_old_value_when_it_refuses(void)
{
	const struct settings_row *row = settings_find("package_eof");
	union value v = { 0 };

	value_parse(row, LS_STR("\n"), &v, NULL);
	ok(value_parse(row, LS_STR("\\"), &v, NULL) == -EINVAL, "a lone backslash is no delimiter");
	ok(str_eq(v.bytes, LS_STR("\n")), "the value is as before");
	value_clear(row, &v);
}

static void copies_own_their_memory(void)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];
		union value a = { 0 }, b = { 0 };

		value_parse(row, str_from(row->def), &a, NULL);
		value_copy(row, &b, &a);
		ok(value_equal(row, &a, &b), "a copy of %s is equal", row->name);
		value_clear(row, &a);
		value_clear(row, &b);
	}
}

int main(void)
{
	takes_what_people_write();
	refuses_with_a_sentence();
	bounds_lengths();
	keeps_the_old_value_when_it_refuses();
	copies_own_their_memory();
	return tap_done();
}
