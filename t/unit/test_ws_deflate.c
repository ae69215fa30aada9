/* t/unit/test_ws_deflate.c — terms, and messages there and back. */
#include "proto/ws_deflate.c"

#include "head_stub.h"
#include "tap.h"

static struct port port = { .websocket_compression = true, .websocket_compression_level = 1 };

static struct http_view offering(const char *offer)
{
	char line[256];

	snprintf(line, sizeof line, "sec-websocket-extensions: %s", offer);
	return head_stub(line);
}

static void terms(void)
{
	char text[WS_TERMS_TEXT_MAX];
	struct http_view v =
		offering("other; x=1, permessage-deflate; server_max_window_bits=10; client_max_window_bits");
	struct ws_terms t, back;

	ok(ws_terms_choose(&v, &port, &t) && t.server_bits == 10 && t.server_resets && t.client_resets,
	   "is taken on our terms");
	ok(ws_terms_parse(ws_terms_text(&t, text), &back) == 0 && memcmp(&t, &back, sizeof t) == 0,
	   "which the reactor reads back: %s", text);
	port.websocket_context_takeover = true;
	ok(ws_terms_choose(&v, &port, &t) && !t.server_resets && !t.client_resets,
	   "with contexts where the port keeps them");
	port.websocket_context_takeover = false;
	v = offering("permessage-deflate; server_max_window_bits=8");
	ok(!ws_terms_choose(&v, &port, &t), "a window that zlib has not is declined");
	port.websocket_compression = false;
	v = offering("permessage-deflate");
	ok(!ws_terms_choose(&v, &port, &t), "and everything where compression is off");
	port.websocket_compression = true;
	ok(ws_terms_parse(LS_STR("permessage-deflate; x"), &back) == -EBADMSG, "a worker that says nonsense");
}

static bool survives(struct ws_deflate *from, struct ws_deflate *to, const char *bytes, size_t len, size_t max)
{
	struct buf *small = NULL, *back = NULL;
	bool same = ws_deflate_shrink(from, str_make(bytes, len), true, &small) == 0 &&
	            ws_deflate_expand(to, buf_str(small), max, &back) == 0 &&
	            str_eq(buf_str(back), str_make(bytes, len));

	buf_unref(small);
	buf_unref(back);
	return same;
}

static void messages(bool resets)
{
	enum { MOST = 300000 };
	struct ws_terms t = { .server_resets = resets, .client_resets = resets, .server_bits = 15 };
	struct ws_deflate *from = ws_deflate_new(&t, &port), *to = ws_deflate_new(&t, &port);
	char *bytes = xalloc(MOST);
	struct buf *small, *back;
	bool all = true;

	for (unsigned i = 0; i < MOST; i++)
		bytes[i] = (char)(i % 251 * (i / 1000));
	for (size_t len = 0; len < MOST; len = len * 3 + 1)
		all &= survives(from, to, bytes, len, MOST) && survives(from, to, bytes, len, LS_MAX(len, (size_t)1));
	ok(all, "messages of all sizes survive, %s contexts", resets ? "without" : "with");

	memset(bytes, 0, MOST);
	ok(ws_deflate_shrink(from, str_make(bytes, MOST), true, &small) == 0 && small->len < 2000, "zeros become few");
	ok(ws_deflate_expand(to, buf_str(small), MOST - 1, &back) == -EMSGSIZE,
	   "and are refused when they would become too many");
	buf_unref(small);
	ok(!resets || ws_deflate_expand(to, LS_STR("\xff\xff"), MOST, &back) == -EBADMSG, "no stream");
	free(bytes);
	ws_deflate_free(from);
	ws_deflate_free(to);
}

/* What is published goes past the connection's context; what follows must still be understood. */
static void forgetting(void)
{
	struct ws_terms t = { .server_bits = 15 },
			alone = { .server_resets = true, .client_resets = true, .server_bits = 15 };
	struct ws_deflate *from = ws_deflate_new(&t, &port), *to = ws_deflate_new(&t, &port),
			  *other = ws_deflate_new(&alone, &port);
	const char *words = "the quick brown fox jumps over the lazy dog, again and again, the quick brown fox";

	ok(survives(from, to, words, strlen(words), 1000), "before");
	ok(survives(other, to, words, strlen(words), 1000), "something from elsewhere");
	ws_deflate_forget(from);
	ok(survives(from, to, words, strlen(words), 1000) && survives(from, to, words, strlen(words), 1000), "after");
	ws_deflate_free(from);
	ws_deflate_free(to);
	ws_deflate_free(other);
}

int main(void)
{
	terms();
	messages(true);
	messages(false);
	forgetting();
	ws_deflate_trim();
	buf_trim();
	return tap_done();
}
