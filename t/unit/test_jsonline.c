/* t/unit/test_jsonline.c — values are found and decoded; what is no JSON object is refused. */
#include "super/jsonline.c"

#include "tap.h"

static char out[256];

static ssize_t get(const char *line, const char *key)
{
	return jsonline_get(str_from(line), key, out, sizeof out);
}

static void finds_values(void)
{
	const char *line = "{\"a\":1, \"b\" : \"x\\ny\" ,\"c\":{\"a\":[2,\"}\"]},\"d\":true}";

	ok(get(line, "a") == 1 && strcmp(out, "1") == 0, "a number");
	ok(get(line, "b") == 3 && strcmp(out, "x\ny") == 0, "a string, decoded");
	ok(get(line, "c") > 0 && strcmp(out, "{\"a\":[2,\"}\"]}") == 0, "an object, as it stands");
	ok(get(line, "d") == 4 && strcmp(out, "true") == 0, "a word");
	ok(get(line, "e") == -ENOENT && get("{}", "a") == -ENOENT, "a key that is not there");
	ok(get("{\"a\":\"\\u00e4\\u20ac\\/\"}", "a") == 6 && strcmp(out, "ä€/") == 0, "escapes");
}

static void refuses_nonsense(void)
{
	static const char *const bad[] = {
		"",
		"x",
		"[1]",
		"{",
		"{\"a\"",
		"{\"a\":",
		"{\"a\":\"x",
		"{\"a\":\"\\u12",
		"{a:1}",
		"{\"a\":}",
		"{\"b\":1,",
		"{\"a\":\"x\\",
		"{\"b\":1 \"a\":2}",
	};
	unsigned refused = 0;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refused += get(bad[i], "a") < 0;
	ok(refused == sizeof bad / sizeof bad[0], "what is no object of one line");
	ok(jsonline_get(LS_STR("{\"a\":\"12345\"}"), "a", out, 5) == -EMSGSIZE, "a value that does not fit");
}

static void writes_strings(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs("{\"a\":", f);
	jsonline_put(f, LS_STR("q\"uo\\te\n\x01"));
	fputs("}", f);
	fclose(f);
	ok(jsonline_get(str_make(text, len), "a", out, sizeof out) == 9 && memcmp(out, "q\"uo\\te\n\x01", 9) == 0,
	   "what is written can be read");
	free(text);
}

int main(void)
{
	finds_values();
	refuses_nonsense();
	writes_strings();
	return tap_done();
}
