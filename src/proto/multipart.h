/* multipart/form-data (RFC 7578, RFC 2046 §5.1) read as it comes: parts to a sink, nothing kept but what a boundary might begin with. */
#pragma once

#include "base/str.h"

enum { MULTIPART_HEAD_MAX = 8192 }; /* of one part */

/* What the head of a part says; lent. */
struct multipart_part {
	struct str name;
	struct str filename; /* p == NULL: it is a field and no file */
	struct str type;     /* empty: it does not say */
};

/* What each returns below 0 ends the reading and is handed on. */
struct multipart_sink {
	int (*begin)(void *ctx, const struct multipart_part *part);
	int (*data)(void *ctx, struct str bytes);
	int (*end)(void *ctx);
};

struct multipart;

/* True: a body of that Content-Type is of this kind. */
bool multipart_is_type(struct str content_type);
/* NULL: the type has no sound boundary (1 to 70 bytes), or there is no memory. */
struct multipart *multipart_new(struct str content_type, const struct multipart_sink *sink, void *ctx);
/* NULL is ignored. */
void multipart_free(struct multipart *m);
/* The next bytes.  0; -EBADMSG: malformed; -EMSGSIZE: the head of a part is too long; -ENOMEM; or what the sink said. */
int multipart_feed(struct multipart *m, struct str bytes);
/* There are no more.  -EBADMSG: the last boundary is missing. */
int multipart_finish(const struct multipart *m);
