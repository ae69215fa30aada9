/* The worker's view of a raw connection: its place in the order of events and its way out. */
#pragma once

#include "conf/settings.h"
#include "ipc/frame.h"
#include "worker/outflow.h"
#include "worker/ready.h"

struct protocol;
struct request;
struct worker;

/* Something that happened to the connection and waits for its handler. */
struct session_event {
	struct list link;
	enum settings_event event;
	uint32_t how;               /* close: by << 16 | reason; message: its opcode */
	struct request *request;    /* open: by which it was asked for, held */
	struct frame_closed totals; /* close */
	size_t len;                 /* receive */
	char data[];
};

struct session {
	conn_id id;
	struct worker *worker;
	const struct port *port;
	struct sock_peer peer;
	char *uid; /* what bind() named it, its kind in front ('n' or 's'); NULL: nothing */
	uint32_t reactor;
	uint64_t connected_us; /* wall clock */
	uint64_t received_us;  /* of the last message */
	uint64_t heard_ms;     /* the same, or of the connection, in loop time */
	struct outflow out;
	struct list events;        /* struct session_event: not yet handled, in order */
	uint64_t queued;           /* bytes in `events` */
	struct ready crossing;     /* of a watermark, see watermark.c */
	bool high;                 /* above it */
	bool high_told;            /* and the app knows */
	bool busy;                 /* a handler runs */
	bool held;                 /* pause() was called and resume() not yet */
	bool choked;               /* over max_queued_bytes, and not yet down to the half of it */
	bool paused;               /* one of these: the reactor was asked to stop reading */
	bool shut;                 /* the peer sends no more: close when its messages have been handled */
	bool spared;               /* protect() was called */
	bool moved;                /* another worker has the connection now */
	bool closing;              /* close() was called here */
	bool closed;               /* CLOSED came */
	bool alone;                /* of the connection only one message is known, which its events hold */
	struct protocol *protocol; /* makes messages of received bytes; NULL: the reactor has */
	bool recalled;             /* RECALL came and was not answered yet */
	bool websocket;            /* it speaks that */
	uint16_t close_code;       /* of the Close frame that has come or was sent; 0: none */
	char *close_text;          /* and what that says; NULL: nothing */
	struct request *opening;   /* its open handler runs */
	uint16_t blame;            /* enum close_reason to close with, if the peer is to blame */
};

/* NULL: not known in this worker. */
struct session *session_find(struct worker *w, conn_id id);
/* The same for what the app does with a connection: NULL also when only one message of it is known. */
struct session *session_known(struct worker *w, conn_id id);
void session_on_open(struct worker *w, const struct frame *f, struct str payload);
int session_on_data(struct worker *w, const struct frame *f, struct str payload);
int session_on_closed(struct worker *w, const struct frame *f, struct str payload);
void session_on_moved(struct worker *w, const struct frame *f);
void session_on_shut(struct worker *w, const struct frame *f);
void session_on_ack(struct worker *w, const struct frame *f);
/* Asks the reactor to close; queued output leaves first unless `reset`. */
int session_close(struct worker *w, conn_id id, bool reset);
/* Sends the string at `idx`; `wait`: parks for room whatever send_yield says.  Results as outflow_send(). */
int session_send(struct worker *w, lua_State *L, conn_id id, int idx, bool wait);
/* Sends `length` bytes of a file from `offset` on, behind what was sent before; length 0: up to its end.  Results as
 * outflow_send(). */
int session_send_file(struct worker *w, lua_State *L, conn_id id, const char *path, uint64_t offset, uint64_t length);
/* Names the connection: `uid` is 'n' or 's', then a number or text of at most SESSION_UID_MAX - 1 bytes.  0 or a code. */
enum { SESSION_UID_MAX = 256 };
int session_bind(struct worker *w, conn_id id, struct str uid);
/* It has sent nothing for heartbeat_idle_time, though it was read and is not protected. */
bool session_is_silent(const struct session *s);
/* Has a connection of a port with enable_delay_receive read.  0 or a code. */
int session_confirm(struct worker *w, conn_id id);
/* Exempts it from heartbeat_idle_time, or no longer.  0 or a code. */
int session_protect(struct worker *w, conn_id id, bool protect);
/* The next open session; NULL: none. `*cursor` starts at 0, and sessions may be closed meanwhile. */
struct session *session_next(struct worker *w, size_t *cursor);
/* The worker drains: messages that pause() holds back are handled. */
void session_let_go(struct worker *w);
/* Has the reactor stop reading the connection, and holds back the messages that are on their way; or goes on.  0 or a code. */
int session_pause(struct worker *w, conn_id id, bool pause);
/* Bytes received and not yet handled. */
uint64_t session_queued(const struct session *s);
/* For session_app.c: closes it at once, whatever waits to be sent; asks the reactor to read it or not to, as things stand. */
void session_reset(struct session *s);
void session_follow_reading(struct session *s);
/* For websocket.c: sends the string at `idx`, with s->out.tag; what keeps bytes from being sent, as a code. */
int session_send_string(struct session *s, lua_State *L, int idx, const char *what);
int session_sending_code(const struct session *s);
/* For protocol.c: has its turn come, drops an event from its list, closes it for what the peer did. */
void session_wake(struct session *s);
void session_drop_event(struct session *s, struct session_event *e);
void session_blame(struct session *s, unsigned reason);
/* True while a handler runs or events wait. */
bool session_is_active(const struct session *s);
void session_free_all(struct worker *w);
