/* Bodies of HTTP/1 requests to BODY frames, by length or chunk by chunk. */
#pragma once

#include "proto/http_head.h"
#include "proto/proto.h"

/* The longest body that is taken, `is_form`: of a form with files; UINT64_MAX: any. */
uint64_t http1_body_limit(const struct port *port, bool is_form);

/* The body of `s` comes next.  Sends 100 Continue if the peer waits for it; `here`: bytes of the body have
 * come. */
void http1_body_begin(struct proto_conn *pc, struct stream *s, const struct http_head *head, bool here);

/* Hands on what `in` holds of the body; returns how many bytes that was. */
ssize_t http1_body_input(struct proto_conn *pc, struct str in);
