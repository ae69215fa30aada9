/* One HTTP request in a worker, and its answer: from REQUEST until the handler and the answer have both ended.
 *
 * Lua holds handles on it (`req`, `res`); they are voided when it ends, so that a late use is a Lua error and never a crash.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "conf/settings.h"
#include "proto/http_head.h"
#include "worker/fields.h"
#include "worker/outflow.h"

struct worker;

struct request {
	uint64_t serial; /* of this use of the memory; first: see bind_kind.versioned */
	struct worker *worker;
	conn_id conn;
	uint32_t stream;
	struct buf *image; /* the head image `view` looks at */
	struct http_view view;
	const struct port *port;
	struct arena arena; /* the answer's fields and what the handles need */

	/* The body: pieces in order; buffered requests have one. */
	struct buf *body;      /* received and not yet read; NULL: none */
	struct upload *upload; /* it is a form with files, which is not kept as bytes; NULL: it is none */
	uint64_t body_received;
	bool body_done;      /* END came */
	bool streaming;      /* the handler started at the head */
	bool reading_paused; /* the reactor was asked to wait */
	struct task *reader; /* parked in read() */
	uint64_t read_max;   /* what it asked for; 0: everything */

	/* The answer. */
	uint16_t status;
	struct str reason;
	struct fields head;
	struct fields trailers;
	struct outflow out;
	uint64_t length;         /* of the whole body; UINT64_MAX: not known before its end */
	struct encoder *encoder; /* of a body that leaves in pieces; NULL: it leaves as it is, or as a whole */
	struct buf *coded;       /* on its way into a string of Lua */
	bool encoding_decided;
	bool head_sent;
	bool finished;  /* nothing may be added: its end has been sent, or waits behind other sends */
	bool end_due;   /* and is sent once they have left */
	bool ended;     /* its end, or what stands for it, has been sent */
	bool detached;  /* the handler's end does not finish it */
	int aborted;    /* the client has gone or gets no more of it: the code that writes get; 0: neither */
	bool started;   /* the handler has been called */
	bool running;   /* and has not ended */
	bool handshake; /* it asks for a WebSocket: see handshake.c */
	bool accepted;  /* the app has said 101 itself */
	bool held;      /* request_hold() */

	struct task *task; /* the handler's */
	int cache;         /* registry reference of a table for what Lua computed once (headers, query …) */
};

int request_on_head(struct worker *w, const struct frame *f, struct str payload);
int request_on_body(struct worker *w, const struct frame *f, struct str payload);
void request_on_abort(struct worker *w, const struct frame *f);
void request_on_ack(struct worker *w, const struct frame *f);
/* The request of that connection; NULL: it has ended. */
struct request *request_find(struct worker *w, conn_id conn, uint32_t stream);
/* It does not end before request_release(), even if it has been answered. */
void request_hold(struct request *r);
void request_release(struct request *r);
/* Pushes `req`. */
void request_push(const struct request *r, lua_State *L);
/* Calls the port's handler of that event with req and res; false: the answer is 503, since none can run. */
bool request_call(struct request *r, enum settings_event event);
/* The answer is complete: ends the request if its handler has ended before. */
void request_answered(struct request *r);
/* Kinds of the two handles, given by api_http.c before the first request. */
struct bind_kind;
void request_set_kinds(const struct bind_kind *req, const struct bind_kind *res);
void request_free_all(struct worker *w);
/* Frees the memory of ended requests, which handles look at as long as the Lua state lives. */
void request_trim(void);

/* "GET /path HTTP/1.1", escaped, for logs. */
const char *request_line(const struct request *r, char *out, size_t cap);

/* Reads up to `max` bytes of the body (0: all of it), parking until there are some (0: until it is whole). Results: a string; nil
 * at the end; nil, message, code. */
int request_read(struct request *r, lua_State *L, uint64_t max);

/* ---- response.c: the answer ----------------------------------------------------------------------------------------------------- */

/* outflow.emit: the head travels with the first piece. */
ssize_t response_emit(struct outflow *of, struct str piece, bool end, const struct outflow_source *from);
/* outflow.on_empty: the end of an answer whose handler ended before all of it had left. */
void response_emptied(struct outflow *of);
/* outflow.on_lost: without its end the client would wait for ever. */
void response_lost(struct outflow *of);
/* As fields_put(), or -EALREADY (head sent). */
int response_field(struct request *r, struct str name, struct str value, bool add);
/* A field that follows the body; the head announces it, unless it has left already.  As fields_put(), or -EPERM: that field may not
 * be a trailer. */
int response_trailer(struct request *r, struct str name, struct str value);
/* Ends it with a status and the text of that status. */
void response_refuse(struct request *r, int status);
/* -EINVAL (status, or a reason that is too long or has a CR, LF or NUL), -EALREADY. */
int response_status(struct request *r, int status, struct str reason);
/* Sends the string at `idx` (0: none) as a further part of the body, or, with `end`, as its last.  Lua results of
 * outflow_send(). */
int response_send(struct request *r, lua_State *L, int idx, bool end, const char *what);
/* The whole body from a file.  0 or a code. */
int response_file(struct request *r, const char *path, uint64_t offset, uint64_t length);
/* The handler has ended, perhaps without finishing: what other coroutines have begun to write still leaves. */
void response_complete(struct request *r);
/* The handler raised: `status`, or an abort if the head has left.  An answer that was finished is not touched. */
void response_fail(struct request *r, int status);
