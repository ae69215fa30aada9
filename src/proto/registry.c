/* proto/registry.c — THE LIST of protocols, and what the simple ones share. */
#include "base/bits.h"
#include "base/mem.h"
#include "proto/http1.h"
#include "proto/proto.h"
#include "proto/ws.h"

#include <errno.h>
#include <stdlib.h>

static const struct proto
	*const
		protocols[] = {
			[PROTOCOL_TCP] = &proto_raw,         [PROTOCOL_EOF] = &proto_eof,
			[PROTOCOL_LENGTH] = &proto_length,   [PROTOCOL_HTTP] = &proto_http1,
			[PROTOCOL_LUA] = &proto_raw,         /* the worker makes messages of what is read */
			[PROTOCOL_WEBSOCKET] = &proto_http1, /* until a handshake: ws_begin() */
		};

const struct proto *proto_of(const struct port *port)
{
	return protocols[port->protocol];
}

void proto_trim(void)
{
	http1_trim();
	ws_trim();
	stream_trim();
}

const char *close_reason_name(unsigned reason)
{
	static const char *const names[CLOSE_REASONS] = {
		[CLOSE_NORMAL] = "normal",
		[CLOSE_BY_APP] = "by_app",
		[CLOSE_PEER_RESET] = "peer_reset",
		[CLOSE_TIMEOUT_HEAD] = "timeout_head",
		[CLOSE_TIMEOUT_BODY] = "timeout_body",
		[CLOSE_TIMEOUT_IDLE] = "timeout_idle",
		[CLOSE_TIMEOUT_SEND] = "timeout_send",
		[CLOSE_TOO_LARGE] = "too_large",
		[CLOSE_MALFORMED] = "malformed",
		[CLOSE_BUFFER_FULL] = "buffer_full",
		[CLOSE_WORKER_LOST] = "worker_lost",
		[CLOSE_SHUTDOWN] = "shutdown",
		[CLOSE_HEARTBEAT] = "heartbeat",
		[CLOSE_RATE] = "rate",
		[CLOSE_GOODBYE] = "goodbye",
		[CLOSE_BAD_TEXT] = "bad_text",
	};

	return reason < LS_COUNT(names) ? names[reason] : "?";
}

int proto_emit_data(struct proto_conn *pc, struct str message)
{
	struct frame f = { .type = FRAME_DATA, .conn = pc->id };

	return pc->sink->emit(pc, &f, &message, 1, NULL);
}

int proto_append(struct proto_conn *pc, struct chain *out, struct str bytes)
{
	enum { WORTH_LENDING = 8192 };

	if (pc->lend && out == &pc->out && bytes.len >= WORTH_LENDING)
		return chain_append_lent(out, bytes);
	return chain_append(out, bytes);
}

struct chain *proto_out(struct proto_conn *pc)
{
	if (!pc->unfinished)
		return &pc->out;
	if (!pc->behind)
		pc->behind = xzalloc(sizeof *pc->behind);
	return pc->behind;
}

void proto_finish(struct proto_conn *pc)
{
	pc->unfinished = false;
	if (!pc->behind)
		return;
	chain_move(&pc->out, pc->behind);
	free(pc->behind);
	pc->behind = NULL;
}

int proto_output_plain(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *stream)
{
	if (f->type == FRAME_PUSH && !stream)
		return 0; /* it has no frames: the app took it for another connection */
	if (f->type != FRAME_SEND || stream)
		return -EBADMSG;
	return proto_append(pc, &pc->out, payload);
}

void proto_eof_plain(struct proto_conn *pc, struct str rest)
{
	struct frame f = { .type = FRAME_SHUT, .conn = pc->id };

	(void)rest; /* a message without its end is none */
	/* A peer that shuts its side may still want answers: the worker closes when it has handled what
	 * came. */
	if (pc->sink->emit(pc, &f, NULL, 0, NULL) < 0)
		pc->close_when_sent = true;
	pc->phase = PHASE_WAIT;
}

void proto_timeout_plain(struct proto_conn *pc)
{
	pc->close_reason = CLOSE_TIMEOUT_IDLE;
	pc->close_when_sent = true;
}

void proto_idle_plain(struct proto_conn *pc)
{
	free(pc->state);
	pc->state = NULL;
}

void proto_close_plain(struct proto_conn *pc)
{
	free(pc->state);
	pc->state = NULL;
}
