/* Sockets: addresses, listeners, options. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	SOCK_TEXT_MAX = 128,
	SOCK_DATAGRAM_MAX = 65507, /* payload of the largest IPv4 datagram */
};

struct sock_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	};
	socklen_t len;
};

/* What a peer's address takes where there are many: 24 bytes. */
struct sock_peer {
	uint8_t ip[16];   /* IPv4 in the first four */
	uint16_t port;    /* host order */
	uint8_t family;   /* AF_INET, AF_INET6, AF_UNIX; 0: unknown */
	uint8_t path_len; /* of struct sock_far.path; 0 elsewhere */
	uint32_t scope;   /* the interface that a link-local IPv6 address belongs to; 0: none */
};

/* Where a datagram comes from or goes to.  Its first sock_far_size() bytes are all of it. */
struct sock_far {
	struct sock_peer peer;
	char path[108]; /* of a unix socket; a first byte of 0: an abstract name */
};

/* `host` is a numeric IPv4 or IPv6 address (brackets and "%eth0" or "%2" as in RFC 4007 §11 allowed), "*" or "" for every IPv4 address, or "unix:/path" or a
 * path that begins with '/', where `port` is ignored.  Names are not resolved: a listener's address is a fact. */
int sock_parse(const char *host, uint16_t port, struct sock_addr *out, struct err *err);
/* "127.0.0.1:80", "[::1]:80", "unix:/path". Returns `out`, of SOCK_TEXT_MAX bytes. */
const char *sock_text(const struct sock_addr *addr, char *out);
/* Only the address: "127.0.0.1", "::1" (IPv4-mapped ones as IPv4), "fe80::1%2" (an interface by its number, which asks nobody), "unix:". */
const char *sock_peer_text(const struct sock_peer *peer, char *out);
struct sock_peer sock_peer_of(const struct sock_addr *addr);
/* The other way, for IPv4 and IPv6; -EAFNOSUPPORT. */
int sock_addr_of(const struct sock_peer *peer, struct sock_addr *out);

static inline size_t sock_far_size(const struct sock_far *far)
{
	return sizeof far->peer + far->peer.path_len;
}

struct sock_far sock_far_of(const struct sock_addr *addr);
/* -EAFNOSUPPORT: a unix socket without a name, or no address. */
int sock_addr_of_far(const struct sock_far *far, struct sock_addr *out);
/* Reads what another process wrote, at the front of `bytes`.  -EBADMSG: it is none. */
int sock_far_read(struct str bytes, struct sock_far *out);
/* The address without a port; of unix sockets the path, "@name" for abstract ones, "" without a name.  `out` has SOCK_TEXT_MAX bytes. */
const char *sock_far_text(const struct sock_far *far, char *out);

struct sock_listen_opts {
	int backlog;
	bool reuse_port;
	bool nodelay; /* inherited by accepted sockets */
	bool keepalive;
	int keepidle; /* seconds; 0: the kernel's */
	int keepinterval;
	int keepcount;
	int user_timeout; /* milliseconds unacknowledged bytes may wait; 0: the kernel's */
	int defer_accept; /* seconds a connection may wait for its first byte; 0: it is accepted without one */
	int fastopen;     /* connections with data in their first segment that may wait; 0: none */
	int recv_buffer;  /* bytes, inherited; 0: the kernel's */
	int send_buffer;
	bool ipv6_only; /* of "::": no IPv4 clients */
	bool datagram;  /* UDP: bound, and nothing more */
};

/* Binds and listens; non-blocking, close-on-exec.  A unix path that a dead server left behind is removed; one that is
 * answered is an error, as is a path that is not a socket.  Returns the descriptor; on return `addr` holds what was
 * bound, so port 0 becomes the real one. */
int sock_listen(struct sock_addr *addr, const struct sock_listen_opts *opts, struct err *err);
/* Accepts one: non-blocking, close-on-exec; `peer` is filled.  Descriptor, or -EAGAIN, -EMFILE, … */
int sock_accept(int fd, struct sock_peer *peer);
/* Blocking connect to a unix stream socket; descriptor or negative errno. */
int sock_connect_unix(const char *path);
/* For bench and tests: connects (blocking) to addr. */
int sock_connect(const struct sock_addr *addr);
/* A datagram socket, non-blocking; one of paths (AF_UNIX) gets a name from the kernel, so that it can be answered.  Descriptor or negative
 * errno. */
int sock_datagram(int family);
/* Gives the socket its own address before it is connected; `from` len 0: the kernel's choice.  -EAFNOSUPPORT: it is of another family. */
int sock_bind_from(int fd, const struct sock_addr *from, int family);
int sock_set_nodelay(int fd, bool on);
/* recv(2) and send(2) with MSG_NOSIGNAL, for where there are many: negative errno, and no points of cancellation. */
ssize_t sock_recv(int fd, void *to, size_t len);
ssize_t sock_send(int fd, const void *from, size_t len);
