/* dispatch_key: the part of a request or message that chooses its worker, written "header:NAME", "cookie:NAME", "path:SEGMENTS" or
 * "bytes:OFFSET:LENGTH". */
#pragma once

#include "base/str.h"

#include <stdint.h>

enum key_kind { KEY_HEADER, KEY_COOKIE, KEY_PATH, KEY_BYTES };

struct key {
	enum key_kind kind;
	struct str name;   /* of the field or cookie; points into the text */
	uint32_t segments; /* path: how many from its beginning */
	uint32_t offset;   /* bytes */
	uint32_t length;
};

/* -EINVAL: it is none of the four. */
int key_parse(struct str text, struct key *out);
