#include "proto/http_out.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proto/http1.h"
#include "proto/http_char.h"

#include <errno.h>
#include <stdlib.h>

enum {
	OWN_FIELDS_MAX = 256, /* status line without its phrase, and the fields that are ours */
	FIELD_EXTRA = 4,      /* ": " and CRLF */
	RESERVE_MAX = 60000,  /* a little below what chain_reserve() gives */
	REASONS_FIRST = 100,
};

#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)

static char *put(char *p, const void *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return p + len;
}

static struct str reason_of(unsigned status)
{
#define REASON(code, text) [(code)-REASONS_FIRST] = { text, sizeof(text) - 1 }
	static const struct str reasons[] = {
		REASON(100, "Continue"),
		REASON(101, "Switching Protocols"),
		REASON(103, "Early Hints"),
		REASON(200, "OK"),
		REASON(201, "Created"),
		REASON(202, "Accepted"),
		REASON(203, "Non-Authoritative Information"),
		REASON(204, "No Content"),
		REASON(205, "Reset Content"),
		REASON(206, "Partial Content"),
		REASON(207, "Multi-Status"),
		REASON(208, "Already Reported"),
		REASON(226, "IM Used"),
		REASON(300, "Multiple Choices"),
		REASON(301, "Moved Permanently"),
		REASON(302, "Found"),
		REASON(303, "See Other"),
		REASON(304, "Not Modified"),
		REASON(305, "Use Proxy"),
		REASON(307, "Temporary Redirect"),
		REASON(308, "Permanent Redirect"),
		REASON(400, "Bad Request"),
		REASON(401, "Unauthorized"),
		REASON(402, "Payment Required"),
		REASON(403, "Forbidden"),
		REASON(404, "Not Found"),
		REASON(405, "Method Not Allowed"),
		REASON(406, "Not Acceptable"),
		REASON(407, "Proxy Authentication Required"),
		REASON(408, "Request Timeout"),
		REASON(409, "Conflict"),
		REASON(410, "Gone"),
		REASON(411, "Length Required"),
		REASON(412, "Precondition Failed"),
		REASON(413, "Content Too Large"),
		REASON(414, "URI Too Long"),
		REASON(415, "Unsupported Media Type"),
		REASON(416, "Range Not Satisfiable"),
		REASON(417, "Expectation Failed"),
		REASON(418, "I'm a teapot"),
		REASON(421, "Misdirected Request"),
		REASON(422, "Unprocessable Content"),
		REASON(423, "Locked"),
		REASON(424, "Failed Dependency"),
		REASON(425, "Too Early"),
		REASON(426, "Upgrade Required"),
		REASON(428, "Precondition Required"),
		REASON(429, "Too Many Requests"),
		REASON(431, "Request Header Fields Too Large"),
		REASON(451, "Unavailable For Legal Reasons"),
		REASON(500, "Internal Server Error"),
		REASON(501, "Not Implemented"),
		REASON(502, "Bad Gateway"),
		REASON(503, "Service Unavailable"),
		REASON(504, "Gateway Timeout"),
		REASON(505, "HTTP Version Not Supported"),
		REASON(506, "Variant Also Negotiates"),
		REASON(507, "Insufficient Storage"),
		REASON(508, "Loop Detected"),
		REASON(510, "Not Extended"),
		REASON(511, "Network Authentication Required"),
	};
#undef REASON
	unsigned i = status - REASONS_FIRST;

	return i < LS_COUNT(reasons) && reasons[i].p ? reasons[i] : LS_STR("Unknown");
}

const char *http_reason(int status)
{
	return reason_of((unsigned)status).p;
}

char *http_out_decimal(char *p, uint64_t value)
{
	char digits[20];
	size_t n = sizeof digits;

	do
		digits[--n] = (char)('0' + value % 10);
	while (value /= 10);
	return put(p, digits + n, sizeof digits - n);
}

char *http_out_hex(char *p, uint64_t value)
{
	char digits[16];
	size_t n = sizeof digits;

	do
		digits[--n] = "0123456789abcdef"[value & 15];
	while (value >>= 4);
	return put(p, digits + n, sizeof digits - n);
}

static char *put_status_line(char *p, unsigned status, struct str reason)
{
	if (status == 200 && reason.len == 0)
		return PUT(p, "HTTP/1.1 200 OK\r\n");
	if (reason.len == 0)
		reason = reason_of(status);
	p = PUT(p, "HTTP/1.1 ");
	p = http_out_decimal(p, status);
	*p++ = ' ';
	p = put(p, reason.p, reason.len);
	return PUT(p, "\r\n");
}

/* The fields that end a head: framing and connection. */
static char *put_own_fields(char *p, const struct http_out *o)
{
	if (o->length != UINT64_MAX) {
		p = PUT(p, "Content-Length: ");
		p = http_out_decimal(p, o->length);
		p = PUT(p, "\r\n");
	} else if (o->chunked) {
		p = PUT(p, "Transfer-Encoding: chunked\r\n");
	}
	if (o->upgrade)
		p = PUT(p, "Connection: Upgrade\r\n");
	else if (o->close)
		p = PUT(p, "Connection: close\r\n");
	else if (o->keep_alive)
		p = PUT(p, "Connection: keep-alive\r\n");
	return PUT(p, "\r\n");
}

static char *put_date(char *p, uint64_t now_ms)
{
	struct str date = clock_http_date(now_ms);

	p = PUT(p, "Date: ");
	p = put(p, date.p, date.len);
	return PUT(p, "\r\n");
}

/* No CR, LF or NUL: with them an app that repeats what a client sent could be made to write fields of its
 * own. */
static bool value_is_sound(struct str value)
{
	const char *end = value.p + value.len;

	for (const char *p = value.p;; p++) {
		p = http_char_text_end(p, end);
		if (p == end)
			return true;
		if (*p == '\r' || *p == '\n' || *p == '\0')
			return false;
	}
}

static bool name_is_sound(struct str name)
{
	const char *end = name.p + name.len;

	return name.len && http_char_span(name.p, end, HTTP_CHAR_TOKEN) == end;
}

/* What the app may not or need not say, because we do. */
struct said {
	bool date;
	bool server;
	bool close;
};

/* True: the field is not to be sent. */
static bool field_is_ours(struct str name, struct str value, struct said *said)
{
	switch (name.len) {
	case 4:
		said->date |= str_ieq(name, LS_STR("date"));
		return false;
	case 6:
		said->server |= str_ieq(name, LS_STR("server"));
		return false;
	case 10:
		if (!str_ieq(name, LS_STR("connection")))
			return str_ieq(name, LS_STR("keep-alive"));
		said->close |= str_list_has(value, LS_STR("close"), str_ieq);
		return true;
	case 14:
		return str_ieq(name, LS_STR("content-length"));
	case 17:
		return str_ieq(name, LS_STR("transfer-encoding"));
	default:
		return false;
	}
}

/* Writes the app's fields; NULL: one of them cannot be sent. */
static char *put_fields(char *p, const struct http_view *v, struct said *said)
{
	for (unsigned i = 0; i < v->head->n_fields; i++) {
		struct str name = http_head_str(v, v->fields[i].name);
		struct str value = http_head_str(v, v->fields[i].value);

		if (!name_is_sound(name) || !value_is_sound(value))
			return NULL;
		if (field_is_ours(name, value, said))
			continue;
		p = put(p, name.p, name.len);
		*p++ = ':';
		*p++ = ' ';
		p = put(p, value.p, value.len);
		*p++ = '\r';
		*p++ = '\n';
	}
	return p;
}

/* Bytes that what is written of an image may take; spans of a hostile image may overlap, so its size is no bound. */
static size_t bound_of(const struct http_view *v)
{
	size_t bound = OWN_FIELDS_MAX + v->head->target.len;

	for (unsigned i = 0; i < v->head->n_fields; i++)
		bound += (size_t)v->fields[i].name.len + v->fields[i].value.len + FIELD_EXTRA;
	return bound;
}

/* Returns the length, or -EBADMSG. */
static ssize_t write_head(char *start, const struct http_view *v, struct http_out *o)
{
	struct str reason = http_head_str(v, v->head->target);
	struct said said = { 0 };
	char *p = put_status_line(start, v->head->status, reason);

	p = put_fields(p, v, &said);
	if (!p || !value_is_sound(reason))
		return -EBADMSG;
	if (!said.date)
		p = put_date(p, o->now_ms);
	if (o->server && !said.server)
		p = PUT(p, "Server: luaserv\r\n");
	o->close |= said.close;
	return put_own_fields(p, o) - start;
}

static ssize_t write_trailers(char *start, const struct http_view *v, struct http_out *unused)
{
	struct said said = { 0 };
	char *p = put_fields(PUT(start, "0\r\n"), v, &said);

	(void)unused;
	return p ? PUT(p, "\r\n") - start : -EBADMSG;
}

typedef ssize_t writer(char *start, const struct http_view *v, struct http_out *o);

/* What is too long for chain_reserve(). */
static int append_long(struct chain *out, const struct http_view *v, struct http_out *o, size_t bound, writer *write)
{
	char *memory = try_alloc(bound);
	ssize_t len;
	int r;

	if (!memory)
		return -ENOMEM;
	len = write(memory, v, o);
	r = len < 0 ? (int)len : chain_append(out, str_make(memory, (size_t)len));
	free(memory);
	return r;
}

static int append(struct chain *out, const struct http_view *v, struct http_out *o, writer *write)
{
	size_t bound = bound_of(v);
	ssize_t len;
	char *p;

	if (bound > HTTP_HEAD_MAX + OWN_FIELDS_MAX)
		return -EBADMSG;
	if (bound > RESERVE_MAX)
		return append_long(out, v, o, bound, write);
	p = chain_reserve(out, bound);
	if (!p)
		return -ENOMEM;
	len = write(p, v, o);
	chain_commit(out, bound, len < 0 ? 0 : (size_t)len);
	return len < 0 ? (int)len : 0;
}

int http_out_head(struct chain *out, const struct http_view *v, struct http_out *o)
{
	if ((v->head->status < 200 && !o->upgrade) || v->head->status > 599)
		return -EBADMSG;
	return append(out, v, o, write_head);
}

int http_out_trailers(struct chain *out, const struct http_view *v)
{
	return append(out, v, NULL, write_trailers);
}

int http_out_canned(struct chain *out, int status, bool close, bool head_only, bool server_header, uint64_t now_ms)
{
	struct str reason = reason_of((unsigned)status);
	char body[64], *body_end, *start, *p;
	struct http_out o = { .close = close };

	body_end = http_out_decimal(body, (unsigned)status);
	*body_end++ = ' ';
	body_end = put(body_end, reason.p, reason.len);
	*body_end++ = '\n';
	o.length = (uint64_t)(body_end - body);

	start = p = chain_reserve(out, 2 * OWN_FIELDS_MAX);
	if (!p)
		return -ENOMEM;
	p = put_status_line(p, (unsigned)status, reason);
	p = PUT(p, "Content-Type: text/plain\r\n");
	p = put_date(p, now_ms);
	if (server_header)
		p = PUT(p, "Server: luaserv\r\n");
	p = put_own_fields(p, &o);
	if (!head_only)
		p = put(p, body, o.length);
	chain_commit(out, 2 * OWN_FIELDS_MAX, (size_t)(p - start));
	return 0;
}
