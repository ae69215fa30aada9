/* Messages with descriptors over AF_UNIX SEQPACKET and DGRAM sockets (SCM_RIGHTS). */
#pragma once

#include "base/str.h"

#include <stddef.h>
#include <sys/types.h>

enum { UNIXMSG_FDS_MAX = 200 }; /* the kernel's own bound is 253 */

/* SEQPACKET pair, close-on-exec, non-blocking.  0 or negative errno. */
int unixmsg_pair(int fds[2]);

/* The same of datagrams: [0] to write to, by any number of processes, [1] to read from; both hold what usual limits allow. */
int unixmsg_inbox(int fds[2]);

/* Sends one message of at least one byte; at most 64 parts are gathered.  0, or -EAGAIN, -EPIPE, …; descriptors stay
 * the caller's. */
int unixmsg_send(int fd, const struct str *parts, int n_parts, const int *fds, int n_fds);

/* Receives one message into `buf`; `*n_fds` is how many descriptors `fds` has room for and then how many came (all
 * close-on-exec, the caller's to close).  Returns its length; 0: end of file; -EAGAIN; -EMSGSIZE: it was cut, its
 * descriptors are closed; so are descriptors for which there was no room (-EMSGSIZE too). */
ssize_t unixmsg_recv(int fd, void *buf, size_t cap, int *fds, int *n_fds);
