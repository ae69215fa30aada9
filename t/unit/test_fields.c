/* t/unit/test_fields.c — names and values are checked, setting replaces, adding does not, and the size is kept. */
#include "worker/fields.c"

#include "tap.h"

enum { SIZE_MAX_USUAL = 65536 };

static int put(struct fields *f, struct arena *a, const char *name, const char *value, bool add)
{
	return fields_put(f, a, SIZE_MAX_USUAL, str_from(name), str_from(value), add);
}

static void checks_names_and_values(void)
{
	static const char *const bad[] = { "", "a b", "a:", "a\r", "\xc3\xa4", "a(b)" };
	struct fields f = { 0 };
	struct arena a;
	bool refused = true;

	arena_init(&a);
	for (size_t i = 0; i < LS_COUNT(bad); i++)
		refused = refused && put(&f, &a, bad[i], "v", false) == -EINVAL;
	ok(refused, "what is no token is no name");
	ok(put(&f, &a, "X!#$%&'*+.^_`|~9", "v", false) == 0, "all characters of a token");
	ok(put(&f, &a, "X", "a\rb", false) == -EINVAL && put(&f, &a, "X", "a\nb", false) == -EINVAL,
	   "no line end in a value");
	ok(fields_put(&f, &a, 1000, LS_STR("X"), LS_STR("a\0b"), false) == -EINVAL, "nor a NUL");
	ok(put(&f, &a, "Y", "", false) == 0 && put(&f, &a, "Z", "\t\xff ", false) == 0,
	   "an empty value, and other bytes");
	arena_clear(&a);
}

static void replaces_and_adds(void)
{
	struct fields f = { 0 };
	struct arena a;

	arena_init(&a);
	put(&f, &a, "A", "1", false);
	put(&f, &a, "B", "2", false);
	put(&f, &a, "a", "3", true);
	ok(f.n == 3 && fields_has(&f, LS_STR("b")) && !fields_has(&f, LS_STR("c")), "adding keeps what is there");
	put(&f, &a, "a", "4", false);
	ok(f.n == 2 && str_eq(f.at[0].name, LS_STR("B")) && str_eq(f.at[1].value, LS_STR("4")),
	   "setting replaces all of that name");
	arena_clear(&a);
}

static void keeps_its_limits(void)
{
	struct fields f = { 0 };
	struct arena a;
	uint32_t one = (uint32_t)sizeof(struct http_field) + 2;
	int code = 0;

	arena_init(&a);
	ok(fields_put(&f, &a, 3 * one, LS_STR("a"), LS_STR("1"), true) == 0 &&
	           fields_put(&f, &a, 3 * one, LS_STR("b"), LS_STR("2"), true) == 0 &&
	           fields_put(&f, &a, 3 * one, LS_STR("c"), LS_STR("3"), true) == 0 && f.size == 3 * one,
	   "up to the size");
	ok(fields_put(&f, &a, 3 * one, LS_STR("d"), LS_STR("4"), true) == -E2BIG && f.n == 3, "and not over it");
	ok(fields_put(&f, &a, 3 * one, LS_STR("b"), LS_STR("5"), false) == 0 && f.n == 3 && f.size == 3 * one,
	   "what is replaced counts no more");
	ok(fields_put(&f, &a, 3 * one, LS_STR("b"), LS_STR("55"), false) == -E2BIG && f.n == 3 &&
	           fields_has(&f, LS_STR("b")),
	   "what is refused leaves what it would have replaced");
	for (unsigned i = f.n; i <= RESPONSE_FIELDS_MAX && code == 0; i++)
		code = put(&f, &a, "x", "y", true);
	ok(code == -E2BIG && f.n == RESPONSE_FIELDS_MAX, "the number has a limit too");
	arena_clear(&a);
}

static void knows_what_may_trail(void)
{
	ok(fields_may_trail(LS_STR("X-Checksum")) && fields_may_trail(LS_STR("Server-Timing")) &&
	           fields_may_trail(LS_STR("grpc-status")),
	   "what describes the body may follow it");
	ok(!fields_may_trail(LS_STR("Content-Length")) && !fields_may_trail(LS_STR("transfer-encoding")) &&
	           !fields_may_trail(LS_STR("SET-COOKIE")) && !fields_may_trail(LS_STR("Trailer")),
	   "what frames or routes may not");
}

static void builds_an_image(void)
{
	struct fields f = { 0 };
	struct http_head_builder b = { 0 };
	struct str parts[3];
	struct arena a;

	arena_init(&a);
	put(&f, &a, "One", "1", false);
	put(&f, &a, "Two", "22", false);
	http_head_begin(&b);
	ok(fields_build(&f, &b) == 0, "fields go into an image");
	http_head_parts(&b, parts);
	ok(b.head.n_fields == 2 && b.head.size == sizeof(struct http_head) + f.size, "which has the size they said");
	http_head_fini(&b);
	arena_clear(&a);
}

int main(void)
{
	checks_names_and_values();
	replaces_and_adds();
	keeps_its_limits();
	knows_what_may_trail();
	builds_an_image();
	arena_trim();
	return tap_done();
}
