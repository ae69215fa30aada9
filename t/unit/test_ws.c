/* t/unit/test_ws.c — a connection's frames in and out, however they are cut and whatever the worker refuses. */
#include "proto/ws.c"

#include "proto_stub.h"
#include "tap.h"

static struct proto_conn *open_websocket(const char *agreed)
{
	struct proto_conn *pc = stub_open(&proto_ws);
	struct http_head_builder b = { 0 };
	struct str parts[3], image;
	struct http_view v;

	stub_port.websocket_compression_level = 1;
	stub_port.websocket_compression_min_length = 16;
	http_head_begin(&b);
	if (agreed)
		http_head_add(&b, LS_STR("Sec-WebSocket-Extensions"), str_from(agreed));
	http_head_parts(&b, parts);
	image = stub_join(parts, 3);
	if (http_head_check(image, &v) != 0 || ws_begin(pc, &v) != 0)
		abort();
	free((char *)image.p);
	http_head_fini(&b);
	return pc;
}

static void shut(struct proto_conn *pc)
{
	pc->proto->close(pc);
	proto_finish(pc);
	chain_clear(&pc->out);
}

/* A masked frame behind others; returns the end. */
static char *put(char *p, unsigned first, const char *payload)
{
	static const uint8_t mask[4] = { 9, 8, 7, 6 };
	size_t len = strlen(payload);
	char *head = p;

	p = ws_frame_put(p, first, len);
	head[1] = (char)(head[1] | 0x80);
	p = mempcpy(p, mask, 4);
	ws_frame_mask(p, str_make(payload, len), mask, 0);
	return p + len;
}

static void reads(void)
{
	const char *told = "DATA whole\nDATA two parts\nDATA \nDATA \x03\xe8"
			   "bye\n";
	char in[1000], *p = in;
	bool same = true;

	p = put(p, WS_FIN | WS_TEXT, "whole");
	p = put(p, WS_TEXT, "two ");
	p = put(p, WS_FIN | WS_PING, "?");
	p = put(p, WS_FIN, "parts");
	p = put(p, WS_FIN | WS_BINARY, "");
	p = put(p, WS_FIN | WS_CLOSE,
	        "\x03\xe8"
	        "bye");
	for (size_t step = 0; step < 40; step++)
		for (unsigned refuse = 0; refuse < 4; refuse += 2) {
			struct proto_conn *pc = open_websocket(NULL);

			stub.refuse = refuse;
			same &= stub_feed(pc, str_make(in, (size_t)(p - in)), step) == 0;
			same &= pc->goodbye && strncmp(stub.log, told, strlen(told)) == 0;
			/* Where SHUT is refused nobody else will answer the goodbye. */
			if (!pc->close_when_sent)
				pc->proto->farewell(pc, CLOSE_BY_APP);
			same &= pc->close_when_sent && strcmp(stub_out(pc), "\x8a\x01?\x88\x02\x03\xe8") == 0;
			shut(pc);
		}
	ok(same, "the same messages, a pong and a goodbye, however they come");
}

static int push(struct proto_conn *pc, unsigned opcode, bool last, unsigned flags, const char *payload)
{
	struct frame f = {
		.type = FRAME_PUSH, .flags = (uint16_t)flags, .conn = pc->id, .arg = opcode | (last ? WS_PUSH_LAST : 0)
	};

	return pc->proto->output(pc, &f, str_from(payload), NULL);
}

static void writes(void)
{
	struct proto_conn *pc = open_websocket(NULL);

	ok(push(pc, WS_TEXT, true, 0, "hi") == 0 && strcmp(stub_out(pc), "\x81\x02hi") == 0, "a message");
	push(pc, WS_BINARY, true, FRAME_MORE, "a");
	ok(pc->unfinished && strcmp(stub_out(pc), "\x02\x01"
	                                          "a") == 0,
	   "a piece is a fragment");
	push(pc, WS_TEXT, true, 0, "other");
	push(pc, WS_PING, true, 0, "p");
	push(pc, WS_BINARY, true, FRAME_MORE | FRAME_REST, "b");
	push(pc, WS_BINARY, true, FRAME_REST, "c");
	ok(!pc->unfinished && !pc->behind &&
	           memcmp(stub_out(pc),
	                  "\x89\x01p\x00\x01"
	                  "b\x80\x01"
	                  "c\x81\x05other",
	                  16) == 0,
	   "another message waits behind the last piece, a ping does not");
	ok(push(pc, WS_CONTINUATION, true, 0, "x") == 0 && chain_empty(&pc->out),
	   "a continuation of nothing is dropped");
	ok(push(pc, 3, true, 0, "x") == -EBADMSG && push(pc, WS_PING, false, 0, "") == -EBADMSG,
	   "nonsense of a worker");
	push(pc, WS_TEXT, false, 0, "a");
	stub_out(pc);
	push(pc, WS_TEXT, false, 0, "b");
	ok(pc->close_when_sent && strcmp(stub_out(pc), "\x88\x02\x03\xf3") == 0,
	   "two unfinished messages end the connection: 1011");
	shut(pc);
}

static void compresses(void)
{
	struct proto_conn *pc =
		open_websocket("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
	const char *long_text = "the same again, the same again, the same again, the same again";
	const char *out;

	push(pc, WS_TEXT, true, 0, "short");
	ok(strcmp(stub_out(pc), "\x81\x05short") == 0, "a short message goes as it is");
	push(pc, WS_TEXT, true, 0, long_text);
	out = stub_out(pc);
	ok(out[0] == (char)0xc1 && out[1] < (int)strlen(long_text), "a long one compressed");
	push(pc, WS_TEXT, true, 0, "abcdefghijklmnopqrst");
	ok(stub_out(pc)[0] == (char)0x81, "unless that makes it longer");
	shut(pc);
}

static void publishes(void)
{
	struct publication p = { .bytes = LS_STR("the same again, the same again, the same again, the same again") };
	struct proto_conn *pc = open_websocket(NULL);
	struct buf *plain = pc->proto->publish(pc, &p), *shrunk;

	ok(plain && plain->data[0] == (char)0x81 && plain->len == p.bytes.len + 2 &&
	           pc->proto->publish(pc, &p) == plain,
	   "framed once");
	shut(pc);
	pc = open_websocket("permessage-deflate");
	shrunk = pc->proto->publish(pc, &p);
	ok(shrunk && shrunk->data[0] == (char)0xc1 && shrunk->len < plain->len && pc->proto->publish(pc, &p) == shrunk,
	   "compressed once");
	shut(pc);
	for (unsigned i = 0; i < PUBLICATION_FORMS; i++)
		buf_unref(p.forms[i]);
}

static void waits(void)
{
	struct proto_conn *pc = open_websocket(NULL);

	stub_port.websocket_ping_interval = 1000;
	stub_port.websocket_pong_timeout = 300;
	ok(pc->proto->patience(pc) == 1000, "is silent for so long");
	pc->proto->timeout(pc);
	ok(strcmp(stub_out(pc), "\x89") == 0 && pc->proto->patience(pc) == 1300 && !pc->close_when_sent, "is asked");
	pc->proto->timeout(pc);
	ok(pc->close_when_sent && pc->close_reason == CLOSE_TIMEOUT_IDLE, "and given up");
	shut(pc);
	pc = open_websocket(NULL);
	pc->overdue = true;
	pc->proto->timeout(pc);
	ok(pc->close_when_sent, "max_idle_time does not ask");
	shut(pc);
}

int main(void)
{
	reads();
	writes();
	compresses();
	publishes();
	waits();
	ws_trim();
	buf_trim();
	chain_trim();
	return tap_done();
}
