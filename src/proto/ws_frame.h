/* Frames of WebSocket (RFC 6455 §5.2): their heads, masking, close codes. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

enum {
	WS_HEAD_MAX = 10,     /* of an unmasked frame */
	WS_CONTROL_MAX = 125, /* payload of a control frame (§5.5) */
	WS_FIN = 0x80,        /* bits of the first byte */
	WS_COMPRESSED = 0x40, /* RSV1 (RFC 7692 §6) */
};

/* Codes that say why a connection ends (§7.4.1). */
enum ws_code {
	WS_CODE_NORMAL = 1000,
	WS_CODE_GOING_AWAY = 1001,
	WS_CODE_PROTOCOL = 1002,
	WS_CODE_NONE = 1005,     /* never sent: the Close frame had no code */
	WS_CODE_ABNORMAL = 1006, /* never sent: there was no Close frame */
	WS_CODE_BAD_TEXT = 1007,
	WS_CODE_POLICY = 1008,
	WS_CODE_TOO_LARGE = 1009,
	WS_CODE_FAILED = 1011, /* the server cannot go on */
};

struct ws_frame {
	uint64_t len;
	uint8_t opcode;
	bool fin;
	bool compressed;
	bool masked;
	uint8_t mask[4];
};

static inline bool ws_is_control(unsigned opcode)
{
	return opcode & 8;
}

/* Reads the head that `in` begins with; returns its length.  0: more must come; -EBADMSG: no frame may begin like that. */
int ws_frame_head(struct str in, struct ws_frame *f);
/* Writes the head of an unmasked frame: `first` is its first byte.  The end of it, at most WS_HEAD_MAX bytes on. */
char *ws_frame_put(char *out, unsigned first, uint64_t len);
/* Masks or unmasks: `at` is where in the payload `in` stands. */
void ws_frame_mask(char *out, struct str in, const uint8_t mask[4], uint64_t at);
/* True: a Close frame may carry it. */
bool ws_code_is_valid(unsigned code);
