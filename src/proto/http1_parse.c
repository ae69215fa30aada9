#include "proto/http1_parse.h"

#include "proto/http_char.h"

#include <errno.h>

enum { NO_FIELD = -1 };

struct parse {
	struct http_head_builder *b;
	const struct port *port;
	const char *start;
	const char *at;
	const char *end;
	int host; /* index of the field, or NO_FIELD */
	bool has_coding;
	bool expects_other;
};

static struct http_span span_of(const struct parse *p, const char *from, const char *to)
{
	return (struct http_span){ (uint32_t)(from - p->start), (uint32_t)(to - from) };
}

static struct str text_of(const struct parse *p, struct http_span s)
{
	return (struct str){ p->start + s.at, s.len };
}

static int find_method(struct str name)
{
	static const struct str names[] = {
#define METHOD(name, text, safe) { text, sizeof(text) - 1 },
#include "proto/http_methods.def"
#undef METHOD
	};

	for (int i = 0; i < HTTP_METHODS; i++)
		if (str_eq(names[i], name))
			return i;
	return -1;
}

/* CR LF at `at`: 0 and moved behind it. */
static int take_line_end(struct parse *p)
{
	if (p->at == p->end || (p->at[0] == '\r' && p->at + 1 == p->end))
		return -EAGAIN;
	if (p->at[0] != '\r' || p->at[1] != '\n')
		return 400;
	p->at += 2;
	return 0;
}

static int parse_version(struct parse *p)
{
	static const char name[] = "HTTP/1.1";
	size_t have = (size_t)(p->end - p->at);

	if (have < sizeof name - 1)
		return memcmp(p->at, name, LS_MIN(have, sizeof "HTTP/" - 1)) == 0 ? -EAGAIN : 400;
	if (memcmp(p->at, name, sizeof "HTTP/" - 1) != 0)
		return 400;

	char major = p->at[5], minor = p->at[7];

	if (major < '0' || major > '9' || p->at[6] != '.' || minor < '0' || minor > '9')
		return 400;
	if (major != '1' || minor > '1')
		return 505;
	p->b->head.version_minor = (uint8_t)(minor - '0');
	p->at += sizeof name - 1;
	return take_line_end(p);
}

/* method SP target SP version CRLF, with one space each. */
static int parse_request_line(struct parse *p)
{
	struct http_head *head = &p->b->head;
	const char *from = p->at;
	int method, r;

	p->at = http_char_span(p->at, p->end, HTTP_CHAR_TOKEN);
	if (p->at == p->end)
		return -EAGAIN;
	if (p->at == from || *p->at != ' ')
		return 400;
	head->method_name = span_of(p, from, p->at++);

	from = p->at;
	p->at = http_char_span(p->at, p->end, HTTP_CHAR_TARGET);
	if ((uint64_t)(p->at - from) > p->port->http_max_target_size)
		return 414;
	if (p->at == p->end)
		return -EAGAIN;
	if (p->at == from || *p->at != ' ')
		return 400;
	head->target = span_of(p, from, p->at++);

	r = parse_version(p);
	if (r != 0)
		return r;
	method = find_method(text_of(p, head->method_name));
	if (method < 0)
		return 501;
	head->method = (uint8_t)method;
	return 0;
}

static int see_host(struct parse *p, struct str value)
{
	if (p->host != NO_FIELD)
		return 400;
	if (http_char_span(value.p, value.p + value.len, HTTP_CHAR_HOST) != value.p + value.len)
		return 400;
	p->host = p->b->head.n_fields;
	return 0;
}

static int see_length(struct parse *p, struct str value)
{
	struct http_head *head = &p->b->head;
	int r;

	if (head->flags & HTTP_HAS_LENGTH)
		return 400; /* also when both are equal */
	r = str_to_u64(value, &head->content_length);
	if (r < 0)
		return r == -ERANGE ? 413 : 400;
	head->flags |= HTTP_HAS_LENGTH;
	return 0;
}

/* Exactly "chunked" is understood. */
static int see_coding(struct parse *p, struct str value)
{
	static const char *const known[] = { "chunked",  "gzip",       "x-gzip",  "deflate",
		                             "compress", "x-compress", "identity" };
	struct str last = { 0 };

	if (p->has_coding)
		return 400;
	p->has_coding = true;
	if (str_ieq(value, LS_STR("chunked"))) {
		p->b->head.flags |= HTTP_CHUNKED;
		return 0;
	}
	while (value.p)
		last = str_trim(str_split(&value, ','));
	for (size_t i = 0; i < LS_COUNT(known); i++)
		if (str_ieq(last, str_from(known[i])))
			return 400;
	return 501;
}

static int see_expect(struct parse *p, struct str value)
{
	if (str_ieq(value, LS_STR("100-continue")))
		p->b->head.flags |= HTTP_EXPECT_CONTINUE;
	else
		p->expects_other = true;
	return 0;
}

/* The fields that decide where a request ends or whether it is served at all. */
static int see_field(struct parse *p, struct str name, struct str value)
{
	static const struct {
		struct str name;
		int (*see)(struct parse *p, struct str value);
	} seers[] = {
		{ { "host", 4 }, see_host },
		{ { "content-length", 14 }, see_length },
		{ { "transfer-encoding", 17 }, see_coding },
		{ { "expect", 6 }, see_expect },
	};

	for (size_t i = 0; i < LS_COUNT(seers); i++)
		if (name.len == seers[i].name.len && str_ieq(name, seers[i].name))
			return seers[i].see(p, value);
	return 0;
}

/* name ":" OWS value OWS CRLF.  A line that starts with a space (obs-fold) has no name. */
static int parse_field(struct parse *p)
{
	const char *name = p->at, *name_end, *value, *value_end;
	struct http_field field;
	int r;

	name_end = http_char_span(name, p->end, HTTP_CHAR_TOKEN);
	if (name_end == p->end)
		return -EAGAIN;
	if (name_end == name || *name_end != ':')
		return 400;
	value = name_end + 1;
	while (value < p->end && (*value == ' ' || *value == '\t'))
		value++;
	p->at = value_end = http_char_text_end(value, p->end);
	r = take_line_end(p);
	if (r != 0)
		return r;
	if (p->b->head.n_fields >= p->port->http_max_headers)
		return 431;
	while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
		value_end--;
	field.name = span_of(p, name, name_end);
	field.value = span_of(p, value, value_end);
	r = see_field(p, text_of(p, field.name), text_of(p, field.value));
	if (r != 0)
		return r;
	r = http_head_add_spans(p->b, field.name, field.value);
	return r == -EMSGSIZE ? 431 : r;
}

static int parse_fields(struct parse *p)
{
	for (;;) {
		int r;

		if (p->at == p->end)
			return -EAGAIN;
		if (*p->at == '\r')
			return take_line_end(p);
		r = parse_field(p);
		if (r != 0)
			return r;
	}
}

/* What only the whole head can tell. */
static int check_whole(const struct parse *p)
{
	const struct http_head *head = &p->b->head;

	if (p->host == NO_FIELD && head->version_minor >= 1)
		return 400;
	if (p->has_coding && (head->version_minor == 0 || head->flags & HTTP_HAS_LENGTH))
		return 400; /* two ideas of where the body ends are how requests are smuggled */
	return p->expects_other ? 417 : 0;
}

/* "http://authority/path": the authority takes the place of Host (RFC 9112 §3.2.2). `path` is set to what
 * follows. */
static int parse_absolute(struct parse *p, struct str *path)
{
	struct str target = *path, rest;
	const char *end;

	if (str_ieq(str_take(target, 7), LS_STR("http://")))
		rest = str_skip(target, 7);
	else if (str_ieq(str_take(target, 8), LS_STR("https://")))
		rest = str_skip(target, 8);
	else
		return 400;
	end = http_char_span(rest.p, rest.p + rest.len, HTTP_CHAR_HOST);
	if (end == rest.p || (end < rest.p + rest.len && *end != '/' && *end != '?'))
		return 400;
	if (p->host != NO_FIELD)
		p->b->fields[p->host].value = span_of(p, rest.p, end);
	*path = str_skip(rest, (size_t)(end - rest.p));
	return 0;
}

/* Origin form, absolute form, or "*" with OPTIONS; the authority form belongs to CONNECT, which is not
 * served. */
static int split_target(struct parse *p)
{
	struct http_head *head = &p->b->head;
	struct str path = text_of(p, head->target);
	bool options = head->method == HTTP_METHOD_OPTIONS;
	ssize_t mark;
	int r;

	if (path.p[0] != '/' && !(options && str_eq(path, LS_STR("*")))) {
		r = parse_absolute(p, &path);
		if (r != 0)
			return r;
	}
	mark = str_chr(path, '?');
	head->path = span_of(p, path.p, mark < 0 ? path.p + path.len : path.p + mark);
	if (mark >= 0)
		head->query = span_of(p, path.p + mark + 1, path.p + path.len);
	return 0;
}

/* ASCII letters of all eight bytes to lower case; only for bytes below 0x80. */
static void lower_word(char *p)
{
	const uint64_t ones = 0x0101010101010101ULL, tops = ones * 0x80;
	uint64_t word, from_a, beyond_z;

	memcpy(&word, p, sizeof word);
	from_a = word + ones * (0x80 - 'A');
	beyond_z = word + ones * (0x80 - 'Z' - 1);
	word |= (from_a & ~beyond_z & tops) >> 2;
	memcpy(p, &word, sizeof word);
}

static void lower(char *text, struct http_span s)
{
	char *c = text + s.at, *end = c + s.len;

	for (; end - c >= 8; c += 8)
		lower_word(c);
	for (; c < end; c++)
		*c = (char)(*c | ((uint8_t)(*c - 'A') < 26) << 5);
}

/* The head's bytes become the image's text as they are, so every span holds for both. */
static int copy_text(struct parse *p)
{
	struct http_head_builder *b = p->b;
	bool options = b->head.method == HTTP_METHOD_OPTIONS;
	struct http_span all;
	int r = http_head_text(b, str_make(p->start, (size_t)(p->at - p->start)), &all);

	if (r == 0 && b->head.path.len == 0) /* of the absolute form */
		r = http_head_text(b, options ? LS_STR("*") : LS_STR("/"), &b->head.path);
	if (r < 0)
		return r == -EMSGSIZE ? 431 : r;
	for (unsigned i = 0; i < b->head.n_fields; i++)
		lower(b->text, b->fields[i].name);
	return 0;
}

int http1_parse(struct http_head_builder *b, struct str in, const struct port *port, size_t *len)
{
	struct parse p = {
		.b = b,
		.port = port,
		.start = in.p,
		.at = in.p,
		.end = in.p + in.len,
		.host = NO_FIELD,
	};
	int r;

	http_head_begin(b);
	r = parse_request_line(&p);
	if (r == 0)
		r = parse_fields(&p);
	if (r == 0)
		r = check_whole(&p);
	if (r == 0)
		r = split_target(&p);
	if (r == 0)
		r = copy_text(&p);
	if (r == 0)
		*len = (size_t)(p.at - p.start);
	return r;
}
