/* What a WebSocket is sent: frames of messages, control frames, what is published to groups; and the last words. */
#pragma once

#include "proto/proto.h"
#include "proto/ws_deflate.h"
#include "proto/ws_frame.h"

/* pc->state of a WebSocket. */
struct ws {
	struct ws_frame frame; /* whose payload is being read */
	uint64_t left;         /* of that: bytes to come */
	struct buf
		*message; /* what has come of a message that did not come at once, unmasked; when `ready`, expanded */
	size_t checked;   /* so many bytes of it are whole characters */
	struct ws_deflate *deflate; /* NULL: not agreed on */
	uint16_t peer_code;         /* of its Close frame */
	uint8_t opcode;             /* of the message that has begun to come; 0: none */
	bool compressed;            /* that message is */
	bool reading;               /* in the payload of `frame` */
	bool ready;                 /* the message is whole, and the worker has not taken it */
	bool pinged;                /* since anything was heard */
	bool shrinking;             /* the message being sent is compressed */
};

/* A whole frame; `first` is its first byte.  -ENOMEM. */
int ws_write_frame(struct proto_conn *pc, struct chain *out, unsigned first, struct str payload);
/* The last frame of ours; nothing that the peer sends is looked at any more. */
void ws_write_goodbye(struct proto_conn *pc, unsigned code, struct str reason);
/* The same: the peer broke the rules, or wants too much. */
void ws_write_failure(struct proto_conn *pc, unsigned code, enum close_reason why);
void ws_write_protocol_failure(struct proto_conn *pc);
/* proto.farewell, output and publish. */
void ws_write_farewell(struct proto_conn *pc, enum close_reason why);
int ws_write_output(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *stream);
struct buf *ws_write_publication(struct proto_conn *pc, struct publication *p);
