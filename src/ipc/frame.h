/* What travels between a reactor and a worker: the frame header, the types of frames.def, and the check of frames
 * that the other side wrote.
 */
#pragma once

#include "base/slots.h"
#include "base/str.h"
#include "sys/sock.h"

#include <stdbool.h>
#include <stdint.h>

/* Every frame starts with this; sizes are in bytes.  32 bytes and aligned to them (ADR 1). */
struct frame {
	uint32_t len;    /* of the payload */
	uint16_t type;   /* enum frame_type */
	uint16_t flags;  /* FRAME_MORE, FRAME_END, … */
	conn_id conn;    /* the connection */
	uint32_t stream; /* the request of this connection, from 1; 0: the connection itself */
	uint32_t arg;    /* by type, see frames.def */
	uint64_t value;  /* by type, see frames.def */
};

enum frame_flags {
	FRAME_MORE = 1,      /* a further piece of the same frame follows directly on this link */
	FRAME_END = 2,       /* the last of its stream in this direction */
	FRAME_ADOPTED = 4,   /* OPEN: the connection existed before this worker process did */
	FRAME_RESET = 8,     /* CLOSE: drop what is queued */
	FRAME_NOTIFY = 16,   /* CLOSED: the app's close event is wanted */
	FRAME_REST = 32,     /* not the first piece of its frame */
	FRAME_UPGRADED = 64, /* OPEN: it speaks WebSocket */
};

/* reactor -> worker, worker -> reactor, between processes that run the app */
enum frame_dir { FRAME_DOWN = 1, FRAME_UP = 2, FRAME_SIDE = 3 };

enum frame_type {
#define FRAME(dir, name, min, max, doc) FRAME_##name,
#include "ipc/frames.def"
#undef FRAME
	FRAME_TYPES,
};

enum { FRAME_ANY_LEN = -1 };

/* Payload of OPEN. */
struct frame_open {
	struct sock_peer peer;
	uint32_t reactor;
};

enum frame_ask { FRAME_ASK_LIST, FRAME_ASK_SILENT, FRAME_ASK_INFO };

/* Payload of ANSWER to INFO, before the uid. */
struct frame_info {
	struct sock_peer peer;
	uint32_t reactor;
	uint32_t port; /* index */
	uint32_t closing;
	uint32_t websocket; /* 1: it speaks WebSocket */
	uint32_t unused;
	uint64_t connected_us; /* wall clock */
	uint64_t received_us;
	uint64_t queued; /* bytes for the peer */
};

/* Payload of CLOSED. */
struct frame_closed {
	uint64_t bytes_in;
	uint64_t bytes_out;
};

/* Payload of SEND_FILE and RESPONSE_FILE, before the path; length 0: up to the end of the file. */
struct frame_file {
	uint64_t offset;
	uint64_t length;
};

/* "REQUEST"; "?" for a number that is none. */
const char *frame_name(unsigned type);

/* 0 if a frame of this type may travel in this direction with this length; -EBADMSG otherwise. */
int frame_check(const struct frame *f, enum frame_dir dir);
/* True for types with a short payload of fixed length: they say that something begins or ends, and a link takes them up
 * to twice its limit, since the peer would wait for ever for one that was refused. */
bool frame_is_notice(unsigned type);
