/* WebSocket frames, with and without compression, whole and in pieces; then with an app that pushes at any moment. */
#include "fuzz.h"

#include "proto/ws.h"

static const char *const agreed[] = {
	NULL,
	"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
	"permessage-deflate",
	"permessage-deflate; server_max_window_bits=9",
};

/* A connection that has just been answered 101. */
static struct proto_conn *open_websocket(uint32_t seed, uint8_t option, bool refuses)
{
	struct proto_conn *pc = fuzz_open(&proto_ws, seed, refuses);
	struct http_head_builder b = { 0 };
	struct http_view v;
	struct str parts[3];
	size_t len;
	char *image;

	fuzz_port.websocket_compression_level = 1;
	fuzz_port.websocket_compression_min_length = 1;
	fuzz_port.open_websocket_ping_frame = option & 4;
	fuzz_port.open_websocket_pong_frame = option & 8;
	http_head_begin(&b);
	b.head.status = 101;
	if (agreed[option & 3])
		fuzz_check(http_head_add(&b, LS_STR("Sec-WebSocket-Extensions"), str_from(agreed[option & 3])) == 0);
	http_head_parts(&b, parts);
	image = fuzz_copy(parts, 3, &len);
	fuzz_check(http_head_check(str_make(image, len), &v) == 0 && ws_begin(pc, &v) == 0);
	free(image);
	http_head_fini(&b);
	return pc;
}

/* What a worker may want sent, in the middle of everything. */
static void push_something(struct proto_conn *pc)
{
	static const uint8_t opcodes[] = { WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_PING, WS_PONG, 3, 11 };
	char payload[300];
	struct frame f = {
		.type = FRAME_PUSH,
		.flags =
			(uint16_t)(fuzz_random() % 2 ? FRAME_MORE : 0) | (uint16_t)(fuzz_random() % 4 ? 0 : FRAME_REST),
		.arg = opcodes[fuzz_random() % sizeof opcodes] | (fuzz_random() % 2 ? WS_PUSH_LAST : 0),
	};

	memset(payload, 'p', sizeof payload);
	(void)pc->proto->output(pc, &f, str_make(payload, fuzz_random() % sizeof payload), NULL);
}

/* What a worker and the clock may do between two reads. */
static void interfere(struct proto_conn *pc)
{
	if (fuzz_random() % 4 == 0)
		push_something(pc);
	if (fuzz_random() % 16 == 0)
		pc->proto->timeout(pc);
}

static void feed(struct proto_conn *pc, struct str bytes, bool cut, bool pushes)
{
	(void)fuzz_show(pc, bytes, cut, pushes ? interfere : NULL);
	if (!pc->close_when_sent)
		pc->proto->farewell(pc, CLOSE_SHUTDOWN);
	fuzz_check(pc->close_when_sent);
	fuzz_end(pc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = str_skip(str_make(data, size), FUZZ_SEED);
	uint32_t seed;
	uint64_t hash;

	if (size < FUZZ_SEED)
		return 0;
	memcpy(&seed, data, sizeof seed);
	feed(open_websocket(seed, data[0], false), bytes, false, false);
	hash = fuzz_hash;
	feed(open_websocket(seed, data[0], true), bytes, true, false);
	fuzz_check(hash == fuzz_hash);
	feed(open_websocket(seed, data[0], true), bytes, true, true);
	return 0;
}
