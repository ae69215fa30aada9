/* t/unit/test_ws_frame.c — heads of frames, masks, codes. */
#include "proto/ws_frame.c"

#include "base/bits.h"
#include "tap.h"

/* A head that was written is read back, from as many bytes as it has and from no fewer. */
static void round_trip(void)
{
	static const uint64_t lengths[] = { 0, 1, 125, 126, 127, 65535, 65536, 1ULL << 32, INT64_MAX };

	for (size_t i = 0; i < LS_COUNT(lengths); i++) {
		char head[WS_HEAD_MAX];
		int len = (int)(ws_frame_put(head, WS_FIN | WS_BINARY, lengths[i]) - head);
		struct ws_frame f;
		bool early = false;

		for (int n = 0; n < len; n++)
			early |= ws_frame_head(str_make(head, (size_t)n), &f) != 0;
		ok(!early && ws_frame_head(str_make(head, (size_t)len), &f) == len && f.len == lengths[i] && f.fin &&
		           f.opcode == WS_BINARY && !f.masked && !f.compressed,
		   "a length of %llu", (unsigned long long)lengths[i]);
	}
}

static void masked_heads(void)
{
	struct ws_frame f;

	ok(ws_frame_head(LS_STR("\x81\x85"
	                        "abcd"),
	                 &f) == 6 &&
	           f.masked && memcmp(f.mask, "abcd", 4) == 0 && f.len == 5,
	   "a mask");
	ok(ws_frame_head(LS_STR("\x81\x85"
	                        "abc"),
	                 &f) == 0,
	   "is waited for");
	ok(ws_frame_head(LS_STR("\xc1\x85"
	                        "abcd"),
	                 &f) == 6 &&
	           f.compressed,
	   "the bit of compression");
}

static void bad_heads(void)
{
	static const struct {
		const char *what;
		struct str head;
	} bad[] = {
		{ "RSV2", { "\xa1\x80", 2 } },
		{ "RSV3", { "\x91\x80", 2 } },
		{ "opcode 3", { "\x83\x80", 2 } },
		{ "opcode 11", { "\x8b\x80", 2 } },
		{ "half a ping", { "\x09\x80", 2 } },
		{ "a ping of 126", { "\x89\xfe\x00\x7e", 4 } },
		{ "125 in two bytes", { "\x81\x7e\x00\x7d", 4 } },
		{ "65535 in eight bytes", { "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10 } },
		{ "2^63", { "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10 } },
	};
	struct ws_frame f;

	for (size_t i = 0; i < LS_COUNT(bad); i++)
		ok(ws_frame_head(bad[i].head, &f) == -EBADMSG, "%s is refused", bad[i].what);
}

static void masks(void)
{
	static const uint8_t mask[4] = { 1, 0x20, 0x80, 0xff };
	char in[40], out[40];
	bool same = true;

	for (unsigned i = 0; i < sizeof in; i++)
		in[i] = (char)(i * 7);
	for (uint64_t at = 0; at < 9; at++)
		for (size_t len = 0; len <= sizeof in; len++) {
			ws_frame_mask(out, str_make(in, len), mask, at);
			for (size_t i = 0; i < len; i++)
				same &= out[i] == (char)(in[i] ^ (char)mask[(at + i) % 4]);
		}
	ok(same, "every length from every place");
	ws_frame_mask(in, str_make(in, sizeof in), mask, 3);
	ws_frame_mask(in, str_make(in, sizeof in), mask, 3);
	ok(in[1] == 7 && in[39] == (char)(39 * 7), "in place, there and back");
}

int main(void)
{
	round_trip();
	masked_heads();
	bad_heads();
	masks();
	ok(ws_code_is_valid(1000) && ws_code_is_valid(4999) && !ws_code_is_valid(1005) && !ws_code_is_valid(2999) &&
	           !ws_code_is_valid(5000),
	   "codes");
	return tap_done();
}
