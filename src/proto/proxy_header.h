/* The PROXY protocol's header, versions 1 and 2: what a load balancer says of its client before the client's first byte
 * (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). */
#pragma once

#include "base/str.h"
#include "sys/sock.h"

#include <stdbool.h>
#include <sys/types.h>

enum { PROXY_HEADER_MAX = 4096 }; /* a longer one is refused */

struct proxy_header {
	bool has_peer; /* false: LOCAL or UNKNOWN, the balancer speaks for itself */
	struct sock_peer peer;
};

/* How many bytes the header at the front of `in` has; 0: there must be more; -EBADMSG: it is none, or its checksum is wrong; -EMSGSIZE: it
 * is longer than PROXY_HEADER_MAX. */
ssize_t proxy_header_parse(struct str in, struct proxy_header *out);
