/* t/unit/test_eof.c — messages end where the delimiter does, however the stream is cut. */
#include "proto/eof.c"

#include "proto_stub.h"
#include "tap.h"

enum { STREAMS = 20000 };

static void cut_anywhere(void)
{
	static const struct str delimiters[] = {
		{ "\r\n", 2 }, { "\n", 1 }, { "abab", 4 }, { "\0\0", 2 }, { "12345678", 8 }
	};
	static char in[1024], want[4096];
	bool same = true;

	srand(9);
	for (int i = 0; i < STREAMS && same; i++) {
		struct str eof = delimiters[i % 5];
		struct proto_conn *pc = stub_open(&proto_eof);
		size_t len = 0, n = 0, from = 0;
		ssize_t left;

		stub_port.package_eof = eof;
		stub.random = (uint32_t)i;
		stub.refuse = (unsigned)(i % 4) * 2;
		for (int k = rand() % 6; k >= 0; k--) {
			for (int c = rand() % 20; c > 0; c--)
				in[len++] = (char)(rand() % 3 ? eof.p[(size_t)rand() % eof.len] : 'z');
			memcpy(in + len, eof.p, eof.len);
			len += eof.len;
		}
		for (;;) { /* what a plain search finds */
			ssize_t at = str_find(str_make(in + from, len - from), eof);

			if (at < 0)
				break;
			n += (size_t)snprintf(want + n, sizeof want - n, "DATA ");
			memcpy(want + n, in + from, (size_t)at + eof.len);
			n += (size_t)at + eof.len;
			want[n++] = '\n';
			from += (size_t)at + eof.len;
		}
		left = stub_feed(pc, str_make(in, len), (size_t)(i % 3));
		same = (size_t)left == len - from && str_eq(str_make(want, n), str_make(stub.log, stub.len));
		stub_close(pc);
	}
	ok(same, "%d streams give the same messages however they are cut", STREAMS);
}

static ssize_t feed_limited(const char *text, bool checks, size_t step)
{
	struct proto_conn *pc = stub_open(&proto_eof);
	ssize_t r;

	stub_port.package_max_length = 10;
	stub_port.open_eof_check = checks;
	r = stub_feed(pc, str_from(text), step ? step : strlen(text));
	if (r < 0 && pc->close_reason != CLOSE_TOO_LARGE)
		r = 0;
	stub_close(pc);
	return r;
}

static void keeps_its_limit(void)
{
	for (size_t step = 0; step < 2; step++) {
		ok(feed_limited("12345678\r\n12345678\r\n", false, step) == 0,
		   "messages of package_max_length are taken");
		ok(feed_limited("123456789\r\n", false, step) == -EMSGSIZE, "longer ones are not");
		ok(feed_limited("12345678901", false, step) == -EMSGSIZE, "nor what grows too long without end");
	}
	ok(feed_limited("12345678\r\n", true, 0) == 0 && feed_limited("123456789\r\n", true, 0) == -EMSGSIZE,
	   "check: likewise");
}

static void checks_the_end_only(void)
{
	struct proto_conn *pc = stub_open(&proto_eof);

	stub_port.open_eof_check = true;
	ok(stub_feed(pc, LS_STR("a\r\nb\r\nc"), 100) == 7 && !stub.len, "check: nothing until the data ends with it");
	ok(stub_feed(pc, LS_STR("a\r\nb\r\nc\r\n"), 100) == 0 && !strcmp(stub.log, "DATA a\r\nb\r\nc\r\n\n"),
	   "then all at once");
	stub_close(pc);
}

static void idles(void)
{
	struct proto_conn *pc = stub_open(&proto_eof);
	struct frame f = { .type = FRAME_SEND };

	stub_feed(pc, LS_STR("half"), 1);
	ok(pc->state != NULL, "half a message: how far was searched is kept");
	pc->proto->idle(pc);
	ok(pc->state == NULL, "idle: nothing is");
	ok(pc->proto->output(pc, &f, LS_STR("bytes"), NULL) == 0 && !strcmp(stub_out(pc), "bytes"),
	   "output is the bytes themselves");
	f.type = FRAME_RESPONSE;
	ok(pc->proto->output(pc, &f, LS_STR("bytes"), NULL) == -EBADMSG, "and nothing else");
	pc->proto->timeout(pc);
	ok(pc->close_when_sent && pc->close_reason == CLOSE_TIMEOUT_IDLE, "silence closes");
	stub_close(pc);
}

int main(void)
{
	cut_anywhere();
	keeps_its_limit();
	checks_the_end_only();
	idles();
	chain_trim();
	return tap_done();
}
