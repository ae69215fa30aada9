/* Networks in settings: "10.0.0.0/8", "::1", or "unix:" for clients of unix sockets. */
#pragma once

#include "base/str.h"
#include "sys/sock.h"

#include <stdbool.h>

struct network {
	uint8_t ip[16];
	uint8_t family; /* AF_INET, AF_INET6, AF_UNIX */
	uint8_t bits;   /* that count */
};

/* -EINVAL: it is none. */
int network_parse(struct str text, struct network *out);
bool network_holds(const struct network *n, const struct sock_peer *peer);
