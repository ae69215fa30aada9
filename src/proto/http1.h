/* HTTP/1.1 (RFC 9110, 9112): requests to head images and bodies, answers to bytes. */
#pragma once

#include "proto/proto.h"

/* RESPONSE_FILE, opened by the reactor: `len` bytes of `fd` from `off` are the body, or with !end its next
 * part.  Takes the descriptor, also on failure.  A file that does not fit the announced length cuts the
 * answer short. */
int http1_output_file(struct proto_conn *pc, struct stream *s, int fd, uint64_t off, uint64_t len, bool end);

/* The connection speaks another protocol from here on: gives the state back.  No stream is left. */
void http1_leave(struct proto_conn *pc);

/* Frees this thread's pooled state. */
void http1_trim(void);

/* A complete canned answer with Content-Length and, if `close`, Connection: close. `status` is one of 400 408
 * 413 414 417 431 500 501 502 503 505. */
int http_out_canned(struct chain *out, int status, bool close, bool head_only, bool server_header, uint64_t now_ms);

/* "Not Found"; "Unknown" for codes that have no registered phrase. */
const char *http_reason(int status);
