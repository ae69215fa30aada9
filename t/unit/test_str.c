/* t/unit/test_str.c — views are compared, cut, searched and read as numbers; nothing leaves its bounds. */
#include "base/str.c"

#include "tap.h"

#include <stdlib.h>

#define S(literal) LS_STR(literal)

static void compares(void)
{
	ok(str_eq(S("ab"), S("ab")) && !str_eq(S("ab"), S("abc")) && !str_eq(S("ab"), S("aB")), "equal bytes");
	ok(str_eq((struct str){ 0 }, S("")), "a view of nothing equals an empty one");
	ok(str_ieq(S("Content-Length"), S("cONTENT-lENGTH")), "case of letters is ignored");
	ok(!str_ieq(S("[@"), S("{`")) && !str_ieq(S("a"), S("\xc1")), "but of letters only");
	ok(str_starts(S("unix:/x"), S("unix:")) && !str_starts(S("un"), S("unix:")), "starts");
	ok(str_ends(S("a.lua"), S(".lua")) && !str_ends(S("lua"), S(".lua")), "ends");
	ok(str_from(NULL).len == 0 && str_from(NULL).p, "NULL gives an empty view");
}

static void searches(void)
{
	ok(str_find(S("a\r\nb\r\n"), S("\r\n")) == 1, "the first place is found");
	ok(str_find(S("abc"), S("d")) == -1 && str_find(S("a"), S("ab")) == -1, "or none");
	ok(str_find(S(""), S("")) == 0 && str_find((struct str){ 0 }, S("a")) == -1, "empty views do no harm");
	ok(str_chr(S("k=v=w"), '=') == 1 && str_chr((struct str){ 0 }, 'a') == -1, "bytes are found");
}

static void searches_like_memmem(void)
{
	char text[40], needle[4];
	bool same = true;

	srand(2);
	for (int i = 0; i < 200000; i++) {
		size_t len = (size_t)rand() % sizeof text, n = 1 + (size_t)rand() % sizeof needle;

		for (size_t k = 0; k < sizeof text; k++)
			text[k] = (char)('a' + rand() % 2);
		for (size_t k = 0; k < n; k++)
			needle[k] = (char)('a' + rand() % 2);

		char *found = memmem(text, len, needle, n);

		same = same && str_find(str_make(text, len), str_make(needle, n)) == (found ? found - text : -1);
	}
	ok(same, "random texts of two letters are searched as memmem() does");
}

static void cuts(void)
{
	struct str rest = S("a,,b");
	struct str parts[3];

	for (int i = 0; i < 3; i++)
		parts[i] = str_split(&rest, ',');
	ok(str_eq(parts[0], S("a")) && parts[1].len == 0 && str_eq(parts[2], S("b")), "split gives every part");
	ok(!rest.p, "and ends with p == NULL");
	rest = S("a,");
	str_split(&rest, ',');
	ok(rest.p && rest.len == 0 && str_split(&rest, ',').p && !rest.p, "a separator at the end adds an empty part");
	ok(str_list_has(S("a, Bc\t,d"), S("bC"), str_ieq) && !str_list_has(S("a, Bc"), S("bC"), str_eq),
	   "a list has it, by either comparison");
	ok(!str_list_has(S("abc"), S("ab"), str_ieq) && !str_list_has((struct str){ 0 }, S("a"), str_ieq),
	   "or has it not");
	ok(str_eq(str_trim(S(" \t a b\t ")), S("a b")) && str_trim(S(" \t")).len == 0, "trim");
	ok(str_skip(S("ab"), 9).len == 0 && str_take(S("ab"), 9).len == 2, "skip and take stay inside");
}

static void reads_numbers(void)
{
	uint64_t n = 7;

	ok(str_to_u64(S("18446744073709551615"), &n) == 0 && n == UINT64_MAX, "the largest number");
	ok(str_to_u64(S("18446744073709551616"), &n) == -ERANGE && n == UINT64_MAX, "one more is out of range");
	ok(str_to_u64(S(""), &n) == -EINVAL && str_to_u64(S("+1"), &n) == -EINVAL, "not a number");
	ok(str_to_u64(S("99999999999999999999x"), &n) == -EINVAL, "long nonsense is not a number");
}

static void reads_sizes(void)
{
	static const struct {
		struct str in;
		int r;
		uint64_t bytes;
	} rows[] = {
		{ { "0", 1 }, 0, 0 },         { { "10k", 3 }, 0, 10240 },
		{ { "2MB", 3 }, 0, 2 << 20 }, { { "3Gb", 3 }, 0, 3ULL << 30 },
		{ { "512b", 4 }, 0, 512 },    { { "k", 1 }, -EINVAL, 0 },
		{ { "1kk", 3 }, -EINVAL, 0 }, { { "1 k", 3 }, -EINVAL, 0 },
		{ { "-1", 2 }, -EINVAL, 0 },  { { "18014398509481984k", 18 }, -ERANGE, 0 },
	};

	for (size_t i = 0; i < LS_COUNT(rows); i++) {
		uint64_t bytes = 0;
		int r = str_to_size(rows[i].in, &bytes);

		ok(r == rows[i].r && bytes == rows[i].bytes, "size \"%.*s\"", LS_STR_ARG(rows[i].in));
	}
}

static void reads_durations(void)
{
	static const struct {
		struct str in;
		int r;
		uint64_t ms;
	} rows[] = {
		{ { "3", 1 }, 0, 3000 },
		{ { "0.5", 3 }, 0, 500 },
		{ { "250ms", 5 }, 0, 250 },
		{ { "1.5h", 4 }, 0, 5400000 },
		{ { "2D", 2 }, 0, 172800000 },
		{ { "1m", 2 }, 0, 60000 },
		{ { "0.0001s", 7 }, 0, 1 },
		{ { "0.1234567891234s", 16 }, 0, 124 },
		{ { "1.", 2 }, -EINVAL, 0 },
		{ { ".5", 2 }, -EINVAL, 0 },
		{ { "1w", 2 }, -EINVAL, 0 },
		{ { "", 0 }, -EINVAL, 0 },
		{ { "18446744073709551615", 20 }, -ERANGE, 0 },
	};

	for (size_t i = 0; i < LS_COUNT(rows); i++) {
		uint64_t ms = 0;
		int r = str_to_duration(rows[i].in, &ms);

		ok(r == rows[i].r && ms == rows[i].ms, "duration \"%.*s\"", LS_STR_ARG(rows[i].in));
	}
}

static void copies_and_escapes(void)
{
	char out[8];

	ok(str_copy(S("abc"), out, 4) && strcmp(out, "abc") == 0, "what fits is copied");
	ok(!str_copy(S("abcd"), out, 4) && strcmp(out, "abc") == 0, "what does not is cut and terminated");
	ok(!str_copy(S("a"), out, 0) && str_copy((struct str){ 0 }, out, 1), "even into nothing");
	ok(strcmp(str_escape(S("a\n\xff"), out, sizeof out), "a\\x0a") == 0, "an escape is never cut in half");
	ok(strcmp(str_escape(S("GET /"), out, sizeof out), "GET /") == 0, "plain text stays");
}

static void measures_distance(void)
{
	char a[100], b[100];

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	ok(str_distance(S("worker_num"), S("worker_num")) == 0, "nothing to edit");
	ok(str_distance(S("wroker_num"), S("worker_num")) == 1, "a swap is one edit");
	ok(str_distance(S("kitten"), S("sitting")) == 3, "kitten, sitting");
	ok(str_distance(S(""), S("abc")) == 3 && str_distance(S("abc"), S("")) == 3, "from and to nothing");
	ok(str_distance(str_make(a, sizeof a), str_make(b, sizeof b)) == DISTANCE_MAX, "long inputs are bounded");
}

/* Copies on the heap, so that ASan sees a step over the edge. */
static void stays_inside(void)
{
	static const char alphabet[] = "0123456789.kmgbshd \t,%";
	uint64_t n;
	char out[16];

	srand(1);
	for (int i = 0; i < 100000; i++) {
		size_t len = (size_t)(rand() % 12);
		char *p = malloc(len + 1);
		struct str s = str_make(p, len);

		for (size_t k = 0; k < len; k++)
			p[k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
		p = realloc(p, len ? len : 1);
		s.p = p;
		str_to_u64(s, &n);
		str_to_size(s, &n);
		str_to_duration(s, &n);
		str_escape(str_trim(s), out, sizeof out);
		while (s.p)
			str_split(&s, ',');
		free(p);
	}
	ok(true, "no input makes a reader leave the view");
}

int main(void)
{
	compares();
	searches();
	searches_like_memmem();
	cuts();
	reads_numbers();
	reads_sizes();
	reads_durations();
	copies_and_escapes();
	measures_distance();
	stays_inside();
	return tap_done();
}
