/* Requests under way on one HTTP/1 connection: their answers leave in the order in which the requests came,
 * and what must not run ahead waits.  Also every early end of a stream: refused, failed, cut, dropped. */
#pragma once

#include "proto/http1_chunk.h"
#include "proto/proto.h"

/* pc->state of an HTTP/1 connection, while anything is under way. */
struct http1 {
	struct stream *reading;   /* whose body is being read, or NULL */
	struct http1_chunk chunk; /* of a chunked body */
	uint64_t body_max;        /* the longest that is taken */
	uint64_t body_taken;      /* of a chunked body: bytes that came */
	uint64_t body_left;       /* of any other: bytes to come */
	uint32_t searched;        /* bytes of the next head in which no new line end needs to be looked for */
	uint32_t streams;         /* length of pc->streams */
	bool chunked;             /* the body is */
	bool exclusive;           /* the newest request lets nothing run ahead of its answer */
	bool wait_all;            /* the next request waits until all are answered */
	bool last;                /* no request is taken any more */
	bool stalled;             /* the sink said -EAGAIN */
	bool unread;              /* bytes of the next request have come */
	bool ended;               /* the peer has shut its sending side */
};

/* Puts the stream last and counts it. */
void http1_order_add(struct proto_conn *pc, struct stream *s);
/* Undoes that for one that was not handed on after all. */
void http1_order_remove(struct proto_conn *pc, struct stream *s);

/* Where answer bytes of `s` go now. */
struct chain *http1_order_out(struct proto_conn *pc, struct stream *s);

/* Ends the streams at the front that are complete, gives the next its turn, and recomputes pc->paused and
 * pc->phase. To be called last: `s` of the caller may be gone. */
void http1_order_settle(struct proto_conn *pc);

/* The next request is not served: `status` leaves after the answers before it, then the connection closes. */
void http1_order_refuse(struct proto_conn *pc, int status, enum close_reason why);

/* The stream's answer becomes `status` if nothing of it has left, else the connection is cut. `tell`: its
 * worker lives and gets an ABORT. */
void http1_order_fail(struct proto_conn *pc, struct stream *s, int status, enum close_reason why, bool tell);

/* The sink will never take more of this request: 503 and close, since the client may try again. `taken`: it
 * has the head already. */
void http1_order_give_up(struct proto_conn *pc, struct stream *s, bool taken);

/* Ends all streams; their workers get ABORT. */
void http1_order_drop(struct proto_conn *pc);
