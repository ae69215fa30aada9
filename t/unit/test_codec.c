/* t/unit/test_codec.c — text codings: known answers, odd ends, and bounds. */
#include "base/codec.c"

#include "tap.h"

#include <stdlib.h>

static void url(struct str in, bool plus, struct str out)
{
	char room[64];
	size_t n = codec_url_decode(in, plus, room);

	ok(str_eq(str_make(room, n), out), "\"%.*s\" decoded", LS_STR_ARG(in));
}

static void url_decoding(void)
{
	char place[] = "a%20b";

	url(LS_STR("a%20b%2Fc%2f"), false, LS_STR("a b/c/"));
	url(LS_STR("a+b"), true, LS_STR("a b"));
	url(LS_STR("a+b"), false, LS_STR("a+b"));
	url(LS_STR("100%"), false, LS_STR("100%"));
	url(LS_STR("%4"), false, LS_STR("%4"));
	url(LS_STR("%zz%g1%1g%%41"), false, LS_STR("%zz%g1%1g%A"));
	url(LS_STR("%00"), false, LS_STR("\0"));
	url(LS_STR(""), false, LS_STR(""));
	ok(codec_url_decode(str_from(place), false, place) == 3 && memcmp(place, "a b", 3) == 0, "in place");
}

/* Decodes by the book, to compare with. */
static bool utf8_by_the_book(const unsigned char *p, size_t len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	for (size_t i = 0; i < len;) {
		size_t n = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
		uint32_t c = n == 1 ? p[i] : p[i] & (0x7fu >> n);

		if (n == 0 || i + n > len)
			return false;
		for (size_t k = 1; k < n; k++) {
			if (p[i + k] >> 6 != 2)
				return false;
			c = c << 6 | (p[i + k] & 0x3f);
		}
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
		i += n;
	}
	return true;
}

static void utf8(void)
{
	bool same = true;
	int valid = 0;

	ok(codec_utf8_ok(LS_STR("")) && codec_utf8_ok(LS_STR("plain text, longer than eight")), "ASCII");
	ok(codec_utf8_ok(LS_STR("Gr\xc3\xbc\xc3\x9f Gott \xe2\x82\xac \xf0\x9f\x98\x80")), "two, three and four bytes");
	for (uint32_t i = 0; i < 1 << 24; i += 3) {
		unsigned char p[4] = { (unsigned char)(i >> 16 | 0xc0), (unsigned char)(i >> 8), (unsigned char)i,
			               (unsigned char)(i * 7) };
		size_t len = 1 + i % 4;
		bool held = codec_utf8_ok(str_make(p, len));

		valid += held;
		same = same && held == utf8_by_the_book(p, len);
	}
	ok(same && valid > 1000, "5.6 million sequences are judged as by the book (%d are sound)", valid);
}

static void hash(void)
{
	ok(codec_hash(LS_STR("")) == 0xcbf29ce484222325u, "FNV-1a of nothing");
	ok(codec_hash(LS_STR("a")) == 0xaf63dc4c8601ec8cu, "FNV-1a of \"a\"");
	ok(codec_hash(LS_STR("foobar")) == 0x85944171f73967e8u, "FNV-1a of \"foobar\"");
}

static void json(struct str in, size_t cap, bool whole, const char *expected)
{
	char *out = malloc(cap);
	bool held = codec_json_string(in, out, cap);

	ok(held == whole && strcmp(out, expected) == 0, "%s", expected);
	free(out);
}

static void json_strings(void)
{
	json(LS_STR("a\"b\\c/\n\r\t\b\f"), 64, true, "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\"");
	json(LS_STR("\x01\x1f\x7f"), 64, true, "\"\\u0001\\u001f\x7f\"");
	json(LS_STR("\0"), 64, true, "\"\\u0000\"");
	json(LS_STR("\xc3\xbc\xff\xe2\x82"), 64, true, "\"\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	json(LS_STR("abc"), 6, true, "\"abc\"");
	json(LS_STR("abc"), 5, false, "\"ab\"");
	json(LS_STR("a\n"), 5, false, "\"a\"");
	json(LS_STR("\xc3\xbc"), 4, false, "\"\"");
	json(LS_STR(""), 3, true, "\"\"");
	json(LS_STR(""), 2, false, "\"");
}

static void base64(void)
{
	static const char *const vectors[][2] = { { "", "" },
		                                  { "f", "Zg==" },
		                                  { "fo", "Zm8=" },
		                                  { "foo", "Zm9v" },
		                                  { "foob", "Zm9vYg==" },
		                                  { "fooba", "Zm9vYmE=" },
		                                  { "foobar", "Zm9vYmFy" },
		                                  { "\xff\xfe\xfd", "//79" } };
	static const char *const bad[] = { "Zg=", "Zg", "Z===", "====", "Zh==", "Zm9=", "Zm9v\n", "Zm-_", "Zg==Zg==" };
	char room[64];

	for (size_t i = 0; i < LS_COUNT(vectors); i++) {
		struct str bytes = str_from(vectors[i][0]), text = str_from(vectors[i][1]);

		ok(str_eq(str_make(room, codec_base64_encode(bytes, room)), text), "\"%s\" (RFC 4648 §10)",
		   vectors[i][1]);
		ok(codec_base64_decode(text, room) == (ssize_t)bytes.len && memcmp(room, bytes.p, bytes.len) == 0,
		   "and back");
	}
	for (size_t i = 0; i < LS_COUNT(bad); i++)
		ok(codec_base64_decode(str_from(bad[i]), room) == -EBADMSG, "\"%s\" is refused", bad[i]);
}

/* Of every text, cut anywhere, the beginning is known to be one. */
static void utf8_prefixes(void)
{
	struct str text = LS_STR("a\xc3\xbc\xe2\x82\xac\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf, eight more");
	bool fine = true, may_go_on;

	for (size_t n = 0; n <= text.len; n++) {
		size_t whole = codec_utf8_prefix(str_take(text, n), &may_go_on);

		fine &= may_go_on && whole <= n && n - whole < 4 && codec_utf8_ok(str_take(text, whole));
	}
	ok(fine, "every beginning of a text may go on");
	for (unsigned i = 0xc000; i < 65536; i++) {
		char two[2] = { (char)(i >> 8), (char)i }, more[4] = { two[0], two[1] };
		bool possible = codec_utf8_ok(str_make(two, 2));

		(void)codec_utf8_prefix(str_make(two, 2), &may_go_on);
		for (unsigned third = 0x80; third < 0xc0 && !possible; third++) {
			more[2] = (char)third;
			more[3] = (char)0x80;
			possible = codec_utf8_ok(str_make(more, 3)) || codec_utf8_ok(str_make(more, 4));
		}
		fine &= possible == may_go_on;
	}
	ok(fine, "and of two bytes exactly those that can begin one");
}

int main(void)
{
	url_decoding();
	utf8();
	utf8_prefixes();
	base64();
	hash();
	json_strings();
	return tap_done();
}
