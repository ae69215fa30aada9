/* The flat head image: a request's or response's head as one block of bytes that two processes can share.
 *
 *   struct http_head | struct http_field[n_fields] | text
 *
 * All positions are offsets into the text.  A reader that does not trust the writer calls http_head_check()
 * once, after copying; from then on every access is in bounds.
 */
#pragma once

#include "base/str.h"
#include "sys/sock.h"

#include <stdbool.h>
#include <stdint.h>

struct http_span {
	uint32_t at;
	uint32_t len;
};

struct http_field {
	struct http_span name; /* requests: lower case */
	struct http_span value;
};

enum http_head_flags {
	HTTP_KEEP_ALIVE = 1,
	HTTP_CHUNKED = 2,    /* request body length unknown */
	HTTP_HAS_LENGTH = 4, /* content_length is from the message */
	HTTP_UPGRADE = 8,
	HTTP_EXPECT_CONTINUE = 16,
};

struct http_head {
	uint32_t size; /* of the whole image */
	uint16_t n_fields;
	uint16_t status;       /* responses */
	uint8_t method;        /* requests: enum http_method */
	uint8_t version_minor; /* HTTP/1.x */
	uint16_t flags;        /* enum http_head_flags */
	uint32_t unused;
	uint64_t content_length; /* requests with HTTP_HAS_LENGTH */
	uint64_t received_us;    /* requests: wall clock at the head's end */
	struct sock_peer peer;   /* requests */
	uint32_t port;           /* requests: port index */
	struct http_span target; /* requests: as sent; responses: reason phrase, may be empty */
	struct http_span path;   /* requests: target up to '?', not decoded */
	struct http_span query;  /* behind '?', may be empty */
	struct http_span method_name;
};

enum { HTTP_HEAD_MAX = 1 << 20, HTTP_HEAD_FIELDS_MAX = 1000 };

/* enum http_method: HTTP_METHOD_GET, … */
enum http_method {
#define METHOD(name, text, safe) HTTP_METHOD_##name,
#include "proto/http_methods.def"
#undef METHOD
	HTTP_METHODS,
};

/* Builds into growing memory; reuse one builder per thread.  Starts zeroed. */
struct http_head_builder {
	struct http_head head;
	struct http_field *fields;
	uint32_t fields_cap;
	char *text;
	uint32_t text_len;
	uint32_t text_cap;
};

void http_head_begin(struct http_head_builder *b);
/* -EMSGSIZE when the image would pass 1 MiB or 1000 fields, -ENOMEM. */
int http_head_add(struct http_head_builder *b, struct str name, struct str value);
/* A field whose parts are text already. */
int http_head_add_spans(struct http_head_builder *b, struct http_span name, struct http_span value);
/* Copies text and returns its span in `*out`. */
int http_head_text(struct http_head_builder *b, struct str text, struct http_span *out);
/* The three parts of the finished image, lent until the next call; n is always 3. */
void http_head_parts(struct http_head_builder *b, struct str parts[3]);
void http_head_fini(struct http_head_builder *b);

/* A view of a checked image. */
struct http_view {
	const struct http_head *head;
	const struct http_field *fields;
	const char *text;
	uint32_t text_len;
};

/* -EBADMSG if anything points outside. The image must be aligned to 8. */
int http_head_check(struct str image, struct http_view *out);

/* The same of an image whose writer is trusted: only its size is looked at. */
int http_head_view(struct str image, struct http_view *out);

static inline struct str http_head_str(const struct http_view *v, struct http_span s)
{
	return (struct str){ v->text + s.at, s.len };
}

/* The first field of that name (case ignored); p == NULL: none. */
struct str http_head_find(const struct http_view *v, struct str name);
