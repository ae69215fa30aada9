/* Listening sockets that whoever started us has opened (systemd's socket activation, sd_listen_fds(3)). */
#pragma once

#include "sys/sock.h"

#include <stdbool.h>

enum { ACTIVATION_MAX = 64 };

struct activation {
	int fds[ACTIVATION_MAX]; /* -1: taken */
	unsigned n;
};

/* Takes what LISTEN_FDS and LISTEN_PID name, if they mean this process, and removes both from the environment.  -E2BIG: more than
 * ACTIVATION_MAX. */
int activation_open(struct activation *a, struct err *err);
/* The socket that is bound to `addr` and is of that kind, which becomes the caller's; -1: there is none.  "[::]:N" serves for
 * "0.0.0.0:N" as well, unless it takes IPv6 clients alone. */
int activation_take(struct activation *a, const struct sock_addr *addr, bool datagram);
/* Where the first one that nobody took is bound; NULL: all were taken. */
const char *activation_left(const struct activation *a, char text[SOCK_TEXT_MAX]);
void activation_close(struct activation *a);
