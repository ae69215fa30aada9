/* The head of an HTTP/1 request, line by line, strictly: what RFC 9112 lets a server refuse is refused. */
#pragma once

#include "conf/settings.h"
#include "proto/http_head.h"

/* Fills `b` with the head that `in` starts with; `*len` is its length.  0: whole; -EAGAIN: sound so far, but
 * there is more to come; positive: the status to refuse it with; -ENOMEM. Connection and Upgrade are left to
 * the caller, who asks llhttp. */
int http1_parse(struct http_head_builder *b, struct str in, const struct port *port, size_t *len);
