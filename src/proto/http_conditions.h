/* Conditional requests and ranges (RFC 9110 §13, §14) on something with a size, a date and an entity tag. */
#pragma once

#include "proto/http_head.h"

struct http_entity {
	struct str etag;  /* with its quotes, strong */
	int64_t modified; /* seconds since 1970 */
	uint64_t size;
};

struct http_verdict {
	int status;        /* 200, 206, 304, 412 or 416 */
	uint64_t off, len; /* 200 and 206: what is sent */
};

struct http_verdict http_conditions_judge(const struct http_view *v, const struct http_entity *e);
/* Any of the three forms of a date (§5.6.7), in seconds since 1970.  False: it is none. */
bool http_date_parse(struct str text, int64_t *out);
