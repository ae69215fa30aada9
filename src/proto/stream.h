/* One request on a connection, from the moment its head is handed on until its answer is complete.
 *
 * Made by the protocol (one for each REQUEST), kept in order on its connection; the reactor notes in it which
 * worker has it.  Freed by stream_free() from the reactor's thread.
 */
#pragma once

#include "base/chain.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct stream {
	struct list on_conn;   /* in order of arrival */
	struct list on_worker; /* the reactor's list of what that worker process owes */
	void *worker;          /* reactor: struct uplink_gen */
	void *conn;            /* reactor: struct conn */
	uint32_t number;       /* frame.stream; from 1 */
	uint8_t version_minor; /* HTTP/1.x */
	bool orphaned;         /* reactor: its worker process has gone untouched by it; it waits for the next */
	bool head_only;        /* HEAD: the answer has no body */
	bool keep_alive;       /* after the answer the connection may go on */
	bool safe;             /* GET, HEAD, OPTIONS, TRACE: later ones may run ahead (RFC 9112 §9.3.2) */
	bool input_done;       /* the whole request has been handed on */
	bool head_sent;        /* answer bytes exist: a 502 is no longer possible */
	bool output_done;      /* the answer is complete */
	bool chunked;          /* the answer uses chunked coding */
	bool is_form;          /* its body is multipart/form-data */
	bool upgrade;          /* may be answered 101 */
	uint64_t body_left;    /* of the answer's Content-Length; UINT64_MAX: unknown */
	uint64_t output_bytes; /* taken from the worker, for ACK */
	uint64_t acked;        /* last ACK's total */
	uint64_t started_us;   /* wall clock, for the access log */
	uint64_t body_sent;    /* bytes of body given to the peer, for the access log */
	uint16_t status;       /* of the answer, 0 before */
	uint16_t refusal;      /* reactor: what it is answered while no worker has it */
	void *plan;            /* reactor: what it is answered without a worker */
	void *log;             /* access log record or NULL; owned */
	struct chain pending;  /* answer bytes that wait for their turn */
};

struct stream *stream_new(void);
/* The one of that number on a connection's list (struct stream.on_conn); NULL: none. */
struct stream *stream_find(const struct list *on_conn, uint32_t number);
/* NULL is ignored; takes it off its lists. */
void stream_free(struct stream *s);
void stream_trim(void);
