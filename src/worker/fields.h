/* Fields of a response that have not left yet: those of its head, or its trailers.  Their memory is the request's arena. */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "proto/http_head.h"

#include <stdbool.h>

enum { RESPONSE_FIELDS_MAX = 200 };

struct response_field {
	struct str name;
	struct str value;
};

struct fields {
	struct response_field *at;
	unsigned n;
	unsigned cap;
	uint32_t size; /* bytes that they take in an image */
};

/* `add`: beside those of that name, which it replaces otherwise.  0; -EINVAL: the name is no token (RFC 9110 §5.6.2), or the value
 * has a CR, LF or NUL; -E2BIG: there are RESPONSE_FIELDS_MAX, or they would take more than `size_max` bytes. */
int fields_put(struct fields *f, struct arena *a, uint32_t size_max, struct str name, struct str value, bool add);
void fields_remove(struct fields *f, struct str name);
/* The first value of that name; p == NULL: there is none. */
struct str fields_get(const struct fields *f, struct str name);
bool fields_has(const struct fields *f, struct str name);
/* As http_head_add(), for each. */
int fields_build(const struct fields *f, struct http_head_builder *b);
/* No CR, LF or NUL. */
bool fields_is_value(struct str s);
/* False: the field tells how to read, route or store the message, which is decided before a trailer comes (RFC 9110 §6.5.1). */
bool fields_may_trail(struct str name);
