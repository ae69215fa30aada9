/* t/unit/test_http1.c — requests become the same frames however they are cut, what is malformed is refused and closed,
 * answers leave in order and whole. */
#include "proto/http1.c"

#include "proto_stub.h"
#include "tap.h"

#include <unistd.h>

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool ends(const char *text, const char *with)
{
	return str_ends(str_from(text), str_from(with));
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

static bool answered(struct proto_conn *pc)
{
	while (!list_empty(&pc->streams)) {
		struct stream *s = LS_CONTAINER_OF(list_first(&pc->streams), struct stream, on_conn);

		if (!s->input_done || stub_answer(pc, s->number, (struct stub_answer){ .body = "x" }) != 0)
			return false;
	}
	return true;
}

/* Feeds all of `text`, answering whatever the protocol waits for. */
static size_t run(struct proto_conn *pc, const char *text, size_t len, size_t step)
{
	size_t from = 0;

	for (int i = 0; i < 10000 && from < len && !pc->close_when_sent; i++) {
		ssize_t left = stub_feed(pc, str_make(text + from, len - from), step);

		if (left < 0)
			return len;
		from = len - (size_t)left;
		if (pc->paused && !answered(pc))
			break;
	}
	answered(pc);
	return len - from;
}

static const char *const whole[] = {
	GET("/"),
	"GET /a/b?x=1&y=2 HTTP/1.1\r\nHOST: Example.com:80\r\nX-Multi:  two words\t \r\nEmpty:\r\nCookie: a=b; c=d\r\n\r\n",
	GET("/1") GET("/2") GET("/3"),
	"\r\n\r\n" GET("/") "\r\n" GET("/"),
	"POST /p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello" GET("/after"),
	"POST /p HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n" GET("/after"),
	"PUT /c HTTP/1.1\r\n" HOST
	"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=\"v\"\r\n world\r\n0\r\nT: x\r\n\r\n" GET("/after"),
	"POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n00A\r\n0123456789\r\n000\r\n\r\n",
	GET("/safe") "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx" GET("/b") "DELETE /d HTTP/1.1\r\n" HOST
										       "\r\n",
	"GET /body HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc" GET("/x"),
	"OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
	"GET http://other:81/p?q HTTP/1.1\r\n" HOST "\r\n",
	"GET http://other HTTP/1.1\r\n" HOST "\r\n",
	"OPTIONS https://other HTTP/1.1\r\n" HOST "\r\n",
	"GET /ten HTTP/1.0\r\n\r\n",
	"GET /ten HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /two HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
	"GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n" GET("/on"),
	"M-SEARCH / HTTP/1.1\r\n" HOST "\r\nSOURCE / HTTP/1.1\r\n" HOST "\r\n",
	"GET /utf8 HTTP/1.1\r\n" HOST "X: \xc3\xa4\t\xff\r\n\r\n",
};

static void gives_the_same_frames_however_cut(void)
{
	static char expected[STUB_LOG];

	for (size_t i = 0; i < LS_COUNT(whole); i++) {
		size_t len = strlen(whole[i]);
		bool same = true;
		unsigned requests;
		struct proto_conn *pc = stub_open(&proto_http1);

		run(pc, whole[i], len, len);
		str_copy(str_make(stub.log, stub.len), expected, sizeof expected);
		requests = stub.requests;
		stub_close(pc);
		for (size_t step = 0; step < 4 && same; step++)
			for (unsigned refuse = 0; refuse < 4 && same; refuse++) {
				pc = stub_open(&proto_http1);
				stub.random = (uint32_t)(i + step * 77 + refuse);
				stub.refuse = refuse == 1 ? 0 : refuse * 2;
				run(pc, whole[i], len, step);
				same = strcmp(stub.log, expected) == 0 && stub.done == requests;
				if (!same)
					printf("# step %zu refuse %u got\n%s# wanted\n%s", step, refuse, stub.log,
					       expected);
				stub_close(pc);
			}
		ok(same && requests, "sample %zu (%u requests) gives the same frames however it is cut", i, requests);
	}
}

static void tells_all_of_a_head(void)
{
	struct proto_conn *pc = stub_open(&proto_http1);

	run(pc, whole[1], strlen(whole[1]), 1);
	ok(strcmp(stub.log,
	          "REQUEST 1 port=3 value=0 1.1 method=0 flags=1 GET /a/b?x=1&y=2 /a/b ?x=1&y=2 host=Example.com:80; "
	          "x-multi=two words; empty=; cookie=a=b; c=d; END\n") == 0,
	   "the head is told: %s", stub.log);
	stub_close(pc);
	pc = stub_open(&proto_http1);
	run(pc, whole[11], strlen(whole[11]), 1);
	ok(strcmp(stub.log,
	          "REQUEST 1 port=3 value=0 1.1 method=0 flags=1 GET http://other:81/p?q /p ?q host=other:81; END\n") ==
	           0,
	   "the absolute form's authority takes the place of Host: %s", stub.log);
	stub_close(pc);
	pc = stub_open(&proto_http1);
	run(pc, whole[6], strlen(whole[6]), 1);
	ok(starts(strchr(stub.log, '\n'), "\nBODY 1 hello world END\nREQUEST 2") &&
	           strstr(stub.log, "value=ffffffffffffffff"),
	   "chunks are joined and trailers dropped");
	stub_close(pc);
	pc = stub_open(&proto_http1);
	run(pc, whole[13], strlen(whole[13]), 0);
	ok(strstr(stub.log, " * ?") != NULL, "OPTIONS of a host without path is OPTIONS *");
	stub_close(pc);
}

struct bad {
	int status;
	const char *text;
};

#define REQ(line, fields) line " HTTP/1.1\r\n" HOST fields "\r\n"
#define POST(fields, body) REQ("POST /", fields) body

/* Each is followed by a sound request, which must not be parsed. */
static const struct bad bads[] = {
	{ 400, "\x16\x03\x01\x02" },
	{ 400, "\r\r\nGET / HTTP/1.1\r\n\r\n" },
	{ 400, "\nGET / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, " GET / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET  / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /  HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET / HTTP/1.1 \r\n" HOST "\r\n" },
	{ 400, "GET /\tHTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /\r\n" HOST "\r\n" },
	{ 400, "GET\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\n" HOST "\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\n\n" },
	{ 400, "GET / HTTP/1.1\rHost: a\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n" },
	{ 400, "GET / http/1.1\r\n" HOST "\r\n" },
	{ 400, "GET / HTTP/1\r\n" HOST "\r\n" },
	{ 400, "GET / HTTP/1.10\r\n" HOST "\r\n" },
	{ 400, "GET / HTTP/x.1\r\n" HOST "\r\n" },
	{ 400, "GET / FTP/1.1\r\n" HOST "\r\n" },
	{ 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
	{ 505, "GET / HTTP/0.9\r\n" HOST "\r\n" },
	{ 505, "GET / HTTP/1.2\r\n" HOST "\r\n" },
	{ 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
	{ 501, "FOO / HTTP/1.1\r\n" HOST "\r\n" },
	{ 501, "get / HTTP/1.1\r\n" HOST "\r\n" },
	{ 501, "DESCRIBE / HTTP/1.1\r\n" HOST "\r\n" },
	{ 501, "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GE(T / HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET a HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET a:80 HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET * HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /\x7f HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n" },
	{ 400, "GET / HTTP/1.1\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n" },
	{ 400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n" },
	{ 400, REQ("GET /", "X : b\r\n") },
	{ 400, REQ("GET /", "X\t: b\r\n") },
	{ 400, REQ("GET /", ": b\r\n") },
	{ 400, REQ("GET /", "X\r\n") },
	{ 400, REQ("GET /", "X: a\r\n b\r\n") },
	{ 400, REQ("GET /", "X: a\r\n\tb\r\n") },
	{ 400, "GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n" },
	{ 400, REQ("GET /", "X: a\x01\r\n") },
	{ 400, REQ("GET /", "X: a\x7f\r\n") },
	{ 400, REQ("GET /", "X: a\rb\r\n") },
	{ 400, REQ("GET /", "X(: a\r\n") },
	{ 400, REQ("GET /", "X\xc3: a\r\n") },
	{ 400, REQ("GET /", "\"X\": a\r\n") },
	{ 400, POST("Content-Length: 5\r\nContent-Length: 5\r\n", "hello") },
	{ 400, POST("Content-Length: 5\r\nContent-Length: 6\r\n", "hello") },
	{ 400, POST("Content-Length: 5, 5\r\n", "hello") },
	{ 400, POST("Content-Length: +5\r\n", "hello") },
	{ 400, POST("Content-Length: -5\r\n", "hello") },
	{ 400, POST("Content-Length: 0x5\r\n", "hello") },
	{ 400, POST("Content-Length: 5 5\r\n", "hello") },
	{ 400, POST("Content-Length:\r\n", "hello") },
	{ 413, POST("Content-Length: 99999999999999999999999\r\n", "hello") },
	{ 413, POST("Content-Length: 2097153\r\n", "hello") },
	{ 400, POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n") },
	{ 501, POST("Transfer-Encoding: chunked, foo\r\n", "0\r\n\r\n") },
	{ 501, POST("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n") },
	{ 501, POST("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n") },
	{ 501, POST("Transfer-Encoding:\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: identity\r\n", "0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding : chunked\r\n", "0\r\n\r\n") },
	{ 400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
	{ 417, POST("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "x\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "-1\r\nhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", " 5\r\nhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "5\rhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "5\r\nhello\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nhello") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "00000000000000005\r\nhello") },
	{ 413, POST("Transfer-Encoding: chunked\r\n", "ffffffff\r\nhello") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "0\r\nbad\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "0\r\n a: b\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "0\r\na: \x01\r\n\r\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "0\r\n\n") },
	{ 400, POST("Transfer-Encoding: chunked\r\n", "0\r\n\rX") },
};

static void refuses_what_is_malformed(void)
{
	static char text[1 << 16], line[64];

	for (size_t i = 0; i < LS_COUNT(bads); i++) {
		bool held = true;

		for (size_t step = 0; step < 3 && held; step++) {
			struct proto_conn *pc = stub_open(&proto_http1);
			int len = snprintf(text, sizeof text, "%s%s", bads[i].text, GET("/smuggled"));
			const char *out;

			if (bads[i].status == 413)
				stub_port.package_max_length = 4;
			stub_feed(pc, str_make(text, (size_t)len), step == 2 ? (size_t)len : step);
			snprintf(line, sizeof line, "HTTP/1.1 %d ", bads[i].status);
			out = stub_out(pc);
			held = starts(out, line) && strstr(out, "\r\nConnection: close\r\n") &&
			       count(out, "HTTP/1.1") == 1 && pc->close_when_sent && pc->aborted && pc->close_reason &&
			       stub.requests <= 1 && !strstr(stub.log, "smuggled") && list_empty(&pc->streams) &&
			       pc->phase == PHASE_WAIT && stub.done == 1;
			if (!held)
				printf("# %zu step %zu: %s# frames: %s", i, step, out, stub.log);
			stub_close(pc);
		}
		snprintf(text, sizeof text, "%d for %.60s", bads[i].status, bads[i].text);
		for (char *c = text; *c; c++)
			if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
				*c = '~';
		ok(held, "%s", text);
	}
}

static void refuses_nul(void)
{
	static const char target[] = "GET /a\0b HTTP/1.1\r\n" HOST "\r\n",
			  value[] = "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n";
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_feed(pc, str_make(target, sizeof target - 1), 1);
	ok(starts(stub_out(pc), "HTTP/1.1 400 "), "NUL in the target");
	stub_close(pc);
	pc = stub_open(&proto_http1);
	stub_feed(pc, str_make(value, sizeof value - 1), 1);
	ok(starts(stub_out(pc), "HTTP/1.1 400 "), "NUL in a value");
	stub_close(pc);
}

/* Feeds `head`, then `n` times `filler`; returns the status of the answer. */
static int status_of_long(const char *head, const char *filler, size_t n, const char *tail, size_t step)
{
	struct proto_conn *pc = stub_open(&proto_http1);
	size_t unit = strlen(filler), len = strlen(head);
	char *text = xalloc(len + n * unit + strlen(tail));
	const char *out;
	int status;

	memcpy(text, head, len);
	for (; n; n--, len += unit)
		memcpy(text + len, filler, unit);
	memcpy(text + len, tail, strlen(tail));
	len += strlen(tail);
	stub_feed(pc, str_make(text, len), step ? step : len);
	free(text);
	out = stub_out(pc);
	status = *out ? atoi(out + sizeof "HTTP/1.1") : (int)stub.requests;
	stub_close(pc);
	return status;
}

static void keeps_its_limits(void)
{
	const char *line = "GET / HTTP/1.1\r\n" HOST;

	for (size_t step = 0; step <= 997; step += 997) {
		ok(status_of_long("GET /", "a", 8190, " HTTP/1.1\r\n" HOST "\r\n", step) == 1,
		   "a target of 8191 is taken");
		ok(status_of_long("GET /", "a", 8192, " HTTP/1.1\r\n" HOST "\r\n", step) == 414,
		   "a target of 8193: 414");
		ok(status_of_long("GET /", "a", 20000, "", step) == 414, "414 before the line ends");
		ok(status_of_long(line, "X: y\r\n", 99, "\r\n", step) == 1, "100 fields are taken");
		ok(status_of_long(line, "X: y\r\n", 100, "\r\n", step) == 431, "101 fields: 431");
		ok(status_of_long(line, "X: y\r\n", 100, "", step) == 431, "431 before the head ends");
		ok(status_of_long("GET / HTTP/1.1\r\n" HOST "X: ", "y", 17000, "\r\n\r\n", step) == 431,
		   "a long value: 431");
		ok(status_of_long("GET / HTTP/1.1\r\n" HOST "X: ", "y", 17000, "", step) == 431, "also before it ends");
		ok(status_of_long("GET / HTTP/1.1\r\n", "y", 17000, "", step) == 431, "a long name: 431");
		ok(status_of_long("", "A", 17000, "", step) == 414, "a method without end is no head");
		ok(status_of_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5;", "x", 17000, "",
		                  step) == 400,
		   "chunk extensions are bounded");
		ok(status_of_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
		                  "1;eeeeeeeeeeeeeeeeeeeee\r\nx\r\n", 5000, "", step) == 400,
		   "so are many small ones");
		ok(status_of_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", 20000,
		                  "0\r\n\r\n", step) == 1,
		   "tiny chunks alone are not");
		ok(status_of_long("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "T: x\r\n",
		                  5000, "", step) == 400,
		   "trailers are bounded");
	}
}

static void bounds_streamed_bodies(void)
{
	static const char post[] = "POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n123456789";
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_port.package_max_length = 5;
	stub_port.http_request_body = REQUEST_BODY_STREAM;
	stub_feed(pc, LS_STR(post), 3);
	ok(strstr(stub.log, "123456789 END") != NULL, "a streamed body may pass package_max_length");
	stub_close(pc);
	pc = stub_open(&proto_http1);
	stub_port.http_body_max_size = 8;
	stub_port.http_request_body = REQUEST_BODY_STREAM;
	stub_feed(pc, LS_STR(post), 3);
	ok(starts(stub_out(pc), "HTTP/1.1 413 "), "but not http_body_max_size");
	stub_close(pc);
}

static void answers_a_chunked_body_that_grows_too_long(void)
{
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_port.package_max_length = 8;
	stub_feed(pc,
	          LS_STR("POST / HTTP/1.1\r\n" HOST
	                 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"),
	          0);
	ok(starts(stub_out(pc), "HTTP/1.1 413 ") && strstr(stub.log, "ABORT 1 too_large") && pc->close_when_sent,
	   "413 and ABORT for a chunked body over the limit: %s", stub.log);
	stub_close(pc);
}

/* Three GETs, answered in every order. */
static void answers_leave_in_order(void)
{
	static const int orders[6][3] = {
		{ 1, 2, 3 }, { 1, 3, 2 }, { 2, 1, 3 }, { 2, 3, 1 }, { 3, 1, 2 }, { 3, 2, 1 }
	};

	for (int i = 0; i < 6; i++) {
		struct proto_conn *pc = stub_open(&proto_http1);
		bool held = stub_feed(pc, LS_STR(GET("/1") GET("/2") GET("/3")), 1000) == 0 && stub.requests == 3;
		const char *out, *a, *b, *c;

		for (int k = 0; k < 3; k++) {
			char body[] = { 'b', 'o', 'd', 'y', (char)('0' + orders[i][k]), 0 };

			held &= stub_answer(pc, (uint32_t)orders[i][k], (struct stub_answer){ .body = body }) == 0;
			held &= k < 2 || list_empty(&pc->streams);
		}
		out = stub_out(pc);
		a = strstr(out, "body1");
		b = strstr(out, "body2");
		c = strstr(out, "body3");
		held &= a && b && c && a < b && b < c && !pc->paused && pc->phase == PHASE_IDLE && stub.done == 3;
		ok(held, "answered in order %d %d %d they leave as 1 2 3", orders[i][0], orders[i][1], orders[i][2]);
		stub_close(pc);
	}
}

static void unsafe_requests_wait(void)
{
	static const char post[] = "POST /p HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx";
	struct proto_conn *pc = stub_open(&proto_http1);
	struct str bytes;
	char text[1024];
	ssize_t left;

	snprintf(text, sizeof text, "%s%s%s%s", GET("/1"), GET("/2"), post, GET("/4"));
	bytes = str_from(text);
	left = stub_feed(pc, bytes, bytes.len);
	ok(stub.requests == 2 && pc->paused, "a POST is not handed on while GETs are unanswered");
	stub_answer(pc, 2, (struct stub_answer){ .body = "b" });
	ok(pc->paused, "nor while one of them is");
	stub_answer(pc, 1, (struct stub_answer){ .body = "a" });
	ok(!pc->paused && count(stub_out(pc), "HTTP/1.1 200") == 2, "both answered: it goes on");
	left = stub_feed(pc, str_skip(bytes, bytes.len - (size_t)left), 1000);
	ok(stub.requests == 3 && pc->paused && pc->phase == PHASE_WAIT, "the POST is alone");
	stub_answer(pc, 3, (struct stub_answer){ .body = "c" });
	left = stub_feed(pc, str_skip(bytes, bytes.len - (size_t)left), 1000);
	ok(left == 0 && stub.requests == 4 && strstr(stub.log, "GET /4"), "then the next follows");
	stub_close(pc);
}

static void pipeline_is_bounded(void)
{
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_port.http_pipeline_max = 2;
	stub_feed(pc, LS_STR(GET("/1") GET("/2") GET("/3")), 1000);
	ok(stub.requests == 2 && pc->paused, "http_pipeline_max requests are under way, no more");
	stub_answer(pc, 2, (struct stub_answer){ 0 });
	ok(pc->paused, "an answer that must wait makes no room");
	stub_answer(pc, 1, (struct stub_answer){ 0 });
	ok(!pc->paused, "one that leaves does");
	stub_close(pc);
}

static void errors_wait_for_their_turn(void)
{
	struct proto_conn *pc = stub_open(&proto_http1);
	const char *out, *good, *bad;
	ssize_t left = stub_feed(pc, LS_STR(GET("/1") GET("/2") "BAD\r\n\r\n" GET("/3")), 1000);

	ok(left == 0 && pc->aborted && !pc->close_when_sent && !*stub_out(pc), "a 400 behind two requests waits");
	ok(pc->proto->input(pc, LS_STR(GET("/4"))) > 0 && stub.requests == 2, "nothing behind it is read");
	stub_answer(pc, 2, (struct stub_answer){ .body = "two" });
	stub_answer(pc, 1, (struct stub_answer){ .body = "one" });
	out = stub_out(pc);
	good = strstr(out, "two");
	bad = strstr(out, "HTTP/1.1 400 ");
	ok(good && bad && good < bad && pc->close_when_sent && stub.done == 3, "and leaves after their answers");
	stub_close(pc);
}

static void expects_continue(void)
{
	static const char head[] = "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_feed(pc, LS_STR(head), 1000);
	ok(strcmp(stub_out(pc), "HTTP/1.1 100 Continue\r\n\r\n") == 0 && pc->phase == PHASE_BODY,
	   "100 Continue is sent at once");
	stub_feed(pc, LS_STR("ok"), 1000);
	stub_answer(pc, 1, (struct stub_answer){ .body = "x" });
	ok(starts(stub_out(pc), "HTTP/1.1 200 OK\r\n"), "then the answer");
	stub_close(pc);
	pc = stub_open(&proto_http1);
	stub_feed(pc, LS_STR("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), 1000);
	ok(!*stub_out(pc), "HTTP/1.0 gets no 100");
	stub_close(pc);
	pc = stub_open(&proto_http1);
	stub_port.package_max_length = 1;
	stub_feed(pc, LS_STR(head), 1000);
	ok(starts(stub_out(pc), "HTTP/1.1 413 "), "nor does what is refused");
	stub_close(pc);
}

static struct proto_conn *requested(const char *text)
{
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_feed(pc, str_from(text), 1000);
	return pc;
}

static void writes_heads(void)
{
	struct proto_conn *pc = requested(GET("/"));
	const char *out;

	stub_answer(
		pc, 1,
		(struct stub_answer){
			.status = 404,
			.fields =
				"content-type: text/plain\nX: y\n"
				"Content-Length: 99\nTransfer-Encoding: chunked\nkeep-alive: 3\nConnection: upgrade\n",
			.body = "gone" });
	out = stub_out(pc);
	ok(starts(out, "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\nX: y\r\nDate: ") &&
	           ends(out, " GMT\r\nServer: luaserv\r\nContent-Length: 4\r\n\r\ngone"),
	   "the framing fields are ours: %s", out);
	ok(pc->phase == PHASE_IDLE && !pc->close_when_sent && stub.done == 1, "the connection goes on");
	stub_close(pc);

	pc = requested(GET("/"));
	stub_port.http_server_header = false;
	stub_answer(
		pc, 1,
		(struct stub_answer){ .reason = "Fine", .fields = "date: then\nserver: me\nconnection: x, Close\n" });
	out = stub_out(pc);
	ok(strcmp(out,
	          "HTTP/1.1 200 Fine\r\ndate: then\r\nserver: me\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") ==
	           0,
	   "the app's own Date, Server and close are kept");
	ok(pc->close_when_sent && pc->close_reason == CLOSE_NORMAL, "and it closes");
	stub_close(pc);

	pc = requested("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	stub_answer(pc, 1, (struct stub_answer){ .body = "x" });
	ok(strstr(stub_out(pc), "\r\nConnection: keep-alive\r\n") && !pc->close_when_sent,
	   "HTTP/1.0 is told that it may go on");
	stub_close(pc);

	pc = requested("GET / HTTP/1.0\r\n\r\n");
	ok(pc->paused, "nothing is read behind the last request");
	stub_answer(pc, 1, (struct stub_answer){ .body = "x" });
	ok(strstr(stub_out(pc), "\r\nConnection: close\r\n") && pc->close_when_sent, "or not");
	stub_close(pc);
}

static void closes_after_its_share(void)
{
	struct proto_conn *pc = stub_open(&proto_http1);

	stub_port.http_keepalive_requests = 2;
	stub_feed(pc, LS_STR(GET("/1") GET("/2") GET("/3")), 1000);
	ok(stub.requests == 2 && pc->paused, "http_keepalive_requests are taken");
	answered(pc);
	ok(count(stub_out(pc), "Connection: close") == 1 && pc->close_when_sent, "the last answer closes");
	stub_close(pc);
}

static void streams_bodies(void)
{
	struct proto_conn *pc = requested(GET("/"));
	const char *out;

	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = UINT64_MAX, .more = true });
	stub_answer_body(pc, 1, "", false);
	stub_answer_body(pc, 1, "0123456789abcdefg", false);
	ok(stub_answer_body(pc, 1, "!", true) == 0, "chunks are taken");
	out = stub_out(pc);
	ok(strstr(out, "\r\nTransfer-Encoding: chunked\r\n") &&
	           ends(out, "\r\n\r\n5\r\nhello\r\n11\r\n0123456789abcdefg\r\n1\r\n!\r\n0\r\n\r\n"),
	   "chunked: %s", out);
	stub_close(pc);

	pc = requested("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = UINT64_MAX, .more = true });
	stub_answer_body(pc, 1, "more", true);
	out = stub_out(pc);
	ok(strstr(out, "\r\nConnection: close\r\n\r\nhellomore") && pc->close_when_sent && !strstr(out, "Transfer"),
	   "HTTP/1.0 gets a body that ends with the connection");
	stub_close(pc);

	pc = requested(GET("/"));
	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = UINT64_MAX });
	ok(ends(stub_out(pc), "Content-Length: 5\r\n\r\nhello"), "a body that is whole at once gets its length");
	stub_close(pc);

	pc = requested(GET("/"));
	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = 9, .more = true });
	ok(stub_answer_body(pc, 1, "12345", false) == -EBADMSG, "more than was promised is refused");
	ok(stub_answer_body(pc, 1, "123", true) == -EBADMSG, "so is less");
	ok(stub_answer_body(pc, 1, "1234", true) == 0 && ends(stub_out(pc), "Content-Length: 9\r\n\r\nhello1234"),
	   "not so the rest");
	stub_close(pc);

	pc = requested(GET("/"));
	ok(stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = 4 }) == -EBADMSG && !*stub_out(pc),
	   "too long at once");
	ok(stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = 6 }) == -EBADMSG && !*stub_out(pc),
	   "too short at once");
	ok(stub_answer_body(pc, 1, "x", true) == -EBADMSG, "a body before its head");
	stub_close(pc);
}

static int answer_trailers(struct proto_conn *pc, const char *fields, const char *rest, bool more)
{
	return stub_answer(
		pc, 1,
		(struct stub_answer){ .type = FRAME_RESPONSE_TRAILERS, .fields = fields, .body = rest, .more = more });
}

static void sends_trailers(void)
{
	struct proto_conn *pc = requested(GET("/"));
	const char *out;

	ok(answer_trailers(pc, "X-Sum: 1", "", false) == -EBADMSG, "trailers before their head");
	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = UINT64_MAX, .more = true });
	ok(answer_trailers(pc, "X-Sum: 1", "", true) == -EBADMSG, "trailers that do not end the answer");
	ok(answer_trailers(pc, "X-Sum: 1", "more", false) == -EBADMSG, "trailers with bytes behind them");
	ok(answer_trailers(pc, "X-Sum: 1\nX y: 2", "", false) == -EBADMSG, "a malformed name");
	ok(answer_trailers(pc, "X-Sum: 1\r", "", false) == -EBADMSG, "a malformed value");
	ok(answer_trailers(pc, "X-Sum: 1\nContent-Length: 5\nX-Time: 2", "", false) == 0 && stub.done == 1,
	   "they end the answer");
	out = stub_out(pc);
	ok(ends(out, "\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Time: 2\r\n\r\n"),
	   "behind the last chunk, and those that frame are left out: %s", out);
	stub_close(pc);

	pc = requested(GET("/"));
	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = 9, .more = true });
	ok(answer_trailers(pc, "X-Sum: 1", "", false) == -EBADMSG, "not before the promised body");
	stub_answer_body(pc, 1, "1234", false);
	ok(answer_trailers(pc, "X-Sum: 1", "", false) == 0 && ends(stub_out(pc), "\r\n\r\nhello1234") && stub.done == 1,
	   "a body with a length has no place for them");
	stub_close(pc);

	pc = requested("HEAD / HTTP/1.1\r\n" HOST "\r\n");
	stub_answer(pc, 1, (struct stub_answer){ .value = UINT64_MAX, .more = true });
	ok(answer_trailers(pc, "X-Sum: 1", "", false) == 0 && ends(stub_out(pc), "luaserv\r\n\r\n") && stub.done == 1,
	   "nor has HEAD");
	stub_close(pc);
}

static void answers_without_body(void)
{
	struct proto_conn *pc = requested("HEAD / HTTP/1.1\r\n" HOST "\r\n");
	const char *out;

	stub_answer(pc, 1, (struct stub_answer){ .body = "hello" });
	out = stub_out(pc);
	ok(ends(out, "Content-Length: 5\r\n\r\n") && stub.done == 1, "HEAD: the length, not the body");
	stub_close(pc);
	pc = requested("HEAD / HTTP/1.1\r\n" HOST "\r\n");
	stub_answer(pc, 1, (struct stub_answer){ .body = "hello", .value = 77, .more = true });
	stub_answer_body(pc, 1, "more", true);
	ok(ends(stub_out(pc), "Content-Length: 77\r\n\r\n") && stub.done == 1, "HEAD: promised bytes need not come");
	stub_close(pc);
	for (int status = 204; status <= 304; status += 100) {
		pc = requested(GET("/"));
		stub_answer(
			pc, 1,
			(struct stub_answer){ .status = status, .body = "hello", .value = UINT64_MAX, .more = true });
		stub_answer_body(pc, 1, "more", true);
		out = stub_out(pc);
		ok(ends(out, "luaserv\r\n\r\n") && !strstr(out, "Content-Length") && !strstr(out, "chunked") &&
		           stub.done == 1,
		   "%d has no body and no length", status);
		stub_close(pc);
	}
}

static void refuses_hostile_answers(void)
{
	static const struct stub_answer hostile[] = {
		{ .fields = "a: b\rc" }, { .fields = "a b: c" },
		{ .fields = ": c" },     { .fields = "a: x\ry" },
		{ .status = 199 },       { .status = 600 },
		{ .status = 100 },       { .reason = "a\r\nSet-Cookie: b" },
		{ .fields = "\xff: a" },
	};

	for (size_t i = 0; i < LS_COUNT(hostile); i++) {
		struct proto_conn *pc = requested(GET("/"));

		ok(stub_answer(pc, 1, hostile[i]) == -EBADMSG && !*stub_out(pc), "hostile answer %zu is refused", i);
		pc->proto->fail(pc, stub_stream(pc, 1), 502);
		ok(starts(stub_out(pc), "HTTP/1.1 502 Bad Gateway\r\n") && !pc->close_when_sent,
		   "and can be answered 502");
		stub_close(pc);
	}
}

static void refuses_hostile_frames(void)
{
	struct proto_conn *pc = requested(GET("/"));
	struct frame f = { .type = FRAME_RESPONSE, .conn = pc->id, .stream = 1, .arg = 5 };
	uint64_t garbage[64] = { 0 };

	ok(pc->proto->output(pc, &f, str_make(garbage, 4), stub_stream(pc, 1)) == -EBADMSG,
	   "an image beyond its frame");
	ok(pc->proto->output(pc, &f, str_make(garbage, 512), stub_stream(pc, 1)) == -EBADMSG, "an image that is none");
	f.type = FRAME_SEND;
	ok(pc->proto->output(pc, &f, str_make(garbage, 4), stub_stream(pc, 1)) == -EBADMSG, "SEND to a request");
	ok(pc->proto->output(pc, &f, str_make(garbage, 4), NULL) == 0, "frames of streams that have ended are dropped");
	stub_answer(pc, 1, (struct stub_answer){ .body = "a", .value = 2, .more = true });
	ok(stub_answer(pc, 1, (struct stub_answer){ .body = "a" }) == -EBADMSG, "two heads for one request");
	stub_close(pc);
}

static void fails_cleanly(void)
{
	struct proto_conn *pc = requested(GET("/1") GET("/2") GET("/3"));
	const char *out;

	pc->proto->fail(pc, stub_stream(pc, 2), 502);
	ok(!*stub_out(pc), "a 502 waits for its turn too");
	stub_answer(pc, 3, (struct stub_answer){ .body = "three" });
	stub_answer(pc, 1, (struct stub_answer){ .body = "one" });
	out = stub_out(pc);
	ok(count(out, "HTTP/1.1") == 3 && strstr(out, "502 Bad Gateway\n") < strstr(out, "three") &&
	           !pc->close_when_sent,
	   "and the connection goes on");
	stub_close(pc);

	pc = requested(GET("/1") GET("/2"));
	stub_answer(pc, 1, (struct stub_answer){ .body = "part", .value = UINT64_MAX, .more = true });
	pc->proto->fail(pc, stub_stream(pc, 1), 502);
	out = stub_out(pc);
	ok(ends(out, "4\r\npart\r\n") && pc->close_when_sent && pc->aborted && list_empty(&pc->streams) &&
	           pc->close_reason == CLOSE_WORKER_LOST && strstr(stub.log, "ABORT 2 worker_lost"),
	   "mid-answer: cut, and the rest told");
	stub_close(pc);

	pc = requested("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n123");
	pc->proto->fail(pc, stub_stream(pc, 1), 503);
	ok(strstr(stub_out(pc), "\r\nConnection: close\r\n") && pc->close_when_sent && pc->aborted &&
	           !strstr(stub.log, "ABORT"),
	   "with its body half read: 503 and close, and no ABORT to a worker that is gone");
	stub_close(pc);

	pc = requested(GET("/1") GET("/2"));
	stub_answer(pc, 2, (struct stub_answer){ .body = "part", .value = 9, .more = true });
	pc->proto->fail(pc, stub_stream(pc, 2), 500);
	stub_answer(pc, 1, (struct stub_answer){ .body = "one" });
	out = stub_out(pc);
	ok(strstr(out, "HTTP/1.1 500 ") && !strstr(out, "part"), "what has not left yet can be taken back");
	stub_close(pc);

	pc = stub_open(&proto_http1);
	stub.fail_with = -ENOTCONN;
	stub_feed(pc, LS_STR(GET("/1") GET("/2")), 1000);
	ok(starts(stub_out(pc), "HTTP/1.1 503 ") && pc->close_when_sent && stub.done == 1, "no worker: 503");
	stub_close(pc);
	pc = requested("HEAD / HTTP/1.1\r\n" HOST "\r\n");
	pc->proto->fail(pc, stub_stream(pc, 1), 502);
	ok(ends(stub_out(pc), "\r\n\r\n"), "a canned answer to HEAD has no body");
	stub_close(pc);
}

static void aborts_answers(void)
{
	struct frame f = { .type = FRAME_RESPONSE_ABORT, .stream = 1 };
	struct proto_conn *pc = requested(GET("/"));

	pc->proto->output(pc, &f, LS_STR(""), stub_stream(pc, 1));
	ok(starts(stub_out(pc), "HTTP/1.1 500 ") && !pc->close_when_sent, "RESPONSE_ABORT before the head: 500");
	stub_close(pc);
	pc = requested(GET("/"));
	stub_answer(pc, 1, (struct stub_answer){ .body = "part", .value = 9, .more = true });
	pc->proto->output(pc, &f, LS_STR(""), stub_stream(pc, 1));
	ok(pc->close_when_sent && pc->aborted && ends(stub_out(pc), "part"), "behind it: cut");
	stub_close(pc);
}

static void early_answers_close(void)
{
	struct proto_conn *pc = requested("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n123");

	stub_answer(pc, 1, (struct stub_answer){ .status = 403, .body = "no" });
	ok(strstr(stub_out(pc), "\r\nConnection: close\r\n") && pc->close_when_sent && pc->aborted,
	   "answered early: close");
	ok(pc->proto->input(pc, LS_STR("456789" GET("/"))) > 0 && stub.requests == 1, "the rest is thrown away");
	ok(strstr(stub.log, "ABORT 1") != NULL, "the worker hears that no more comes");
	stub_close(pc);
	pc = requested("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n123");
	stub_answer(pc, 1, (struct stub_answer){ .status = 200, .body = "a", .value = 2, .more = true });
	stub_feed(pc, LS_STR("456789"), 1000);
	stub_answer_body(pc, 1, "b", true);
	ok(!strstr(stub_out(pc), "Connection") && !pc->close_when_sent && !pc->aborted,
	   "begun early, ended late: goes on");
	stub_close(pc);
}

static void peers_may_half_close(void)
{
	struct proto_conn *pc = requested(GET("/1") GET("/2"));

	pc->proto->eof(pc, LS_STR(""));
	ok(!pc->close_when_sent, "a half-closed peer still gets its answers");
	answered(pc);
	ok(count(stub_out(pc), "HTTP/1.1 200") == 2 && pc->close_when_sent, "and then the end");
	stub_close(pc);

	pc = stub_open(&proto_http1);
	pc->proto->eof(pc, LS_STR(""));
	ok(pc->close_when_sent && !*stub_out(pc), "nothing begun: close silently");
	stub_close(pc);

	pc = requested("GET / HTTP/1.1\r\n");
	pc->proto->eof(pc, LS_STR("GET / HTTP/1.1\r\n"));
	ok(starts(stub_out(pc), "HTTP/1.1 400 ") && pc->close_when_sent, "half a head: 400");
	stub_close(pc);

	pc = requested("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n123");
	pc->proto->eof(pc, LS_STR(""));
	ok(strstr(stub.log, "ABORT 1") && starts(stub_out(pc), "HTTP/1.1 400 ") && pc->close_when_sent,
	   "half a body: ABORT, 400");
	stub_close(pc);

	struct str two = LS_STR("DELETE /1 HTTP/1.1\r\n" HOST "\r\nDELETE /2 HTTP/1.1\r\n" HOST "\r\n");
	pc = stub_open(&proto_http1);
	ssize_t left = stub_feed(pc, two, 1000);
	pc->proto->eof(pc, str_skip(two, two.len - (size_t)left));
	ok(left > 0 && !pc->close_when_sent, "requests that wait are not forgotten at the end of input");
	stub_answer(pc, 1, (struct stub_answer){ 0 });
	left = stub_feed(pc, str_skip(two, two.len - (size_t)left), 1000);
	stub_answer(pc, 2, (struct stub_answer){ 0 });
	ok(left == 0 && count(stub_out(pc), "HTTP/1.1 200") == 2 && pc->close_when_sent,
	   "they are served, then it closes");
	stub_close(pc);
}

static void times_out(void)
{
	struct proto_conn *pc = stub_open(&proto_http1);

	pc->proto->timeout(pc);
	ok(pc->close_when_sent && !*stub_out(pc) && pc->close_reason == CLOSE_TIMEOUT_IDLE, "idle: silently");
	stub_close(pc);
	pc = requested("GET / HT");
	ok(pc->phase == PHASE_HEAD, "a head has begun");
	pc->proto->timeout(pc);
	ok(starts(stub_out(pc), "HTTP/1.1 408 ") && pc->close_when_sent && pc->close_reason == CLOSE_TIMEOUT_HEAD,
	   "head: 408");
	stub_close(pc);
	pc = requested("POST / HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\n123");
	ok(pc->phase == PHASE_BODY, "a body has begun");
	pc->proto->timeout(pc);
	ok(starts(stub_out(pc), "HTTP/1.1 408 ") && pc->close_when_sent && strstr(stub.log, "ABORT 1 timeout_body"),
	   "body: 408");
	stub_close(pc);
	pc = requested(GET("/1") "GET /2");
	ok(pc->phase == PHASE_WAIT, "a head that begins while an answer is owed is not timed");
	answered(pc);
	ok(pc->phase == PHASE_HEAD, "it is after that");
	stub_close(pc);
}

static void drains(void)
{
	struct proto_conn *pc = requested(GET("/1") GET("/2"));

	pc->draining = true;
	stub_answer(pc, 1, (struct stub_answer){ .body = "x" });
	ok(!strstr(stub_out(pc), "Connection") && !pc->close_when_sent, "draining: earlier answers are ordinary");
	stub_answer(pc, 2, (struct stub_answer){ .body = "x" });
	ok(strstr(stub_out(pc), "\r\nConnection: close\r\n") && pc->close_when_sent, "the last one closes");
	stub_close(pc);
	pc = requested(GET("/1"));
	stub_answer(pc, 1, (struct stub_answer){ .body = "x", .value = 2, .more = true });
	pc->draining = true;
	stub_answer_body(pc, 1, "y", true);
	ok(pc->close_when_sent, "draining begun in the midst of an answer closes after it");
	stub_close(pc);
	pc = stub_open(&proto_http1);
	pc->draining = true;
	stub_feed(pc, LS_STR(GET("/1") GET("/2")), 1000);
	ok(stub.requests == 1, "draining takes one request");
	answered(pc);
	ok(pc->close_when_sent && strstr(stub_out(pc), "Connection: close"), "and closes");
	stub_close(pc);
}

static void idle_connections_own_nothing(void)
{
	struct proto_conn *pc = requested(GET("/1"));

	pc->proto->idle(pc);
	ok(pc->state != NULL, "idle() in the midst of a request does nothing");
	answered(pc);
	pc->proto->idle(pc);
	ok(pc->state == NULL && list_empty(&pc->streams), "an idle connection owns no state");
	stub_feed(pc, LS_STR(GET("/2")), 1);
	ok(stub.requests == 2, "and goes on");
	stub_close(pc);
	ok(strstr(stub.log, "ABORT 2") && stub.done == 2, "closing tells the worker of what is under way");
}

static struct proto_conn *with_file(const char *request, uint64_t value, uint64_t len, int *r)
{
	struct proto_conn *pc = requested(request);
	char name[] = "/tmp/test_http1_XXXXXX";
	int fd = mkstemp(name);

	if (write(fd, "0123456789", 10) != 10)
		abort();
	unlink(name);
	stub_answer(pc, 1, (struct stub_answer){ .value = value, .more = true });
	*r = http1_output_file(pc, stub_stream(pc, 1), fd, 2, len, true);
	return pc;
}

static void sends_files(void)
{
	int r, fd;
	uint64_t off, len;
	struct proto_conn *pc = with_file(GET("/"), 5, 5, &r);

	ok(r == 0 && ends(stub_out(pc), "Content-Length: 5\r\n\r\n") && chain_file(&pc->out, &fd, &off, &len) &&
	           off == 2 && len == 5,
	   "a file follows its head");
	ok(stub.done == 1, "and ends the answer");
	stub_close(pc);
	pc = with_file(GET("/"), UINT64_MAX, 5, &r);
	ok(r == 0 && ends(stub_out(pc), "\r\n\r\n5\r\n") && chain_file(&pc->out, &fd, &off, &len), "a chunk of file");
	chain_consume(&pc->out, 5);
	ok(strcmp(stub_out(pc), "\r\n0\r\n\r\n") == 0, "ends as a chunk does");
	stub_close(pc);
	pc = with_file(GET("/"), 6, 5, &r);
	ok(r == 0 && pc->close_when_sent && pc->aborted, "a file that has shrunk cuts the answer");
	stub_close(pc);
	pc = with_file("HEAD / HTTP/1.1\r\n" HOST "\r\n", 5, 5, &r);
	stub_out(pc);
	ok(r == 0 && chain_empty(&pc->out) && stub.done == 1, "HEAD sends no file");
	stub_close(pc);
}

static void writes_long_heads(void)
{
	struct proto_conn *pc = requested(GET("/"));
	static char fields[100020];
	const char *out;

	memset(fields, 'x', 100000);
	memcpy(fields, "a: ", 3);
	stub_answer(pc, 1, (struct stub_answer){ .fields = fields, .body = "b" });
	out = stub_out(pc);
	ok(strlen(out) > 100000 && ends(out, "Content-Length: 1\r\n\r\nb"), "a head of 100 kB leaves whole");
	stub_close(pc);
}

int main(void)
{
	gives_the_same_frames_however_cut();
	tells_all_of_a_head();
	refuses_what_is_malformed();
	refuses_nul();
	keeps_its_limits();
	bounds_streamed_bodies();
	answers_a_chunked_body_that_grows_too_long();
	answers_leave_in_order();
	unsafe_requests_wait();
	pipeline_is_bounded();
	errors_wait_for_their_turn();
	expects_continue();
	writes_heads();
	closes_after_its_share();
	streams_bodies();
	sends_trailers();
	answers_without_body();
	refuses_hostile_answers();
	refuses_hostile_frames();
	fails_cleanly();
	aborts_answers();
	early_answers_close();
	peers_may_half_close();
	times_out();
	drains();
	idle_connections_own_nothing();
	sends_files();
	writes_long_heads();
	proto_trim();
	chain_trim();
	return tap_done();
}
