#include "sys/sock.h"

#include "base/bits.h"
#include "base/fault.h"
#include "sys/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_CAP = sizeof(((struct sockaddr_un *)0)->sun_path) };

static int set_unix(struct sock_addr *addr, struct str path)
{
	*addr = (struct sock_addr){ .un = { .sun_family = AF_UNIX } };
	addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
	if (path.len == 0 || memchr(path.p, '\0', path.len))
		return -EINVAL;
	return str_copy(path, addr->un.sun_path, PATH_CAP) ? 0 : -ENAMETOOLONG;
}

/* Takes "%eth0" or "%2" off the end of an IPv6 address.  False: there is no such interface. */
static bool take_scope(char *host, uint32_t *scope)
{
	char *sign = strchr(host, '%');
	uint64_t number;

	*scope = 0;
	if (!sign)
		return true;
	*sign = '\0';
	if (str_to_u64(str_from(sign + 1), &number) == 0 && number <= UINT32_MAX)
		*scope = (uint32_t)number;
	else
		*scope = if_nametoindex(sign + 1);
	return *scope != 0;
}

/* -EINVAL: `host` is no numeric address. */
static int set_inet(struct sock_addr *addr, const char *host, uint16_t port)
{
	struct str text = str_from(host);
	char bare[INET6_ADDRSTRLEN + IF_NAMESIZE];

	*addr = (struct sock_addr){ 0 };
	if (text.len == 0 || str_eq(text, LS_STR("*")))
		text = LS_STR("0.0.0.0");
	if (str_starts(text, LS_STR("[")) && str_ends(text, LS_STR("]")) && text.len > 2)
		text = str_make(text.p + 1, text.len - 2);
	if (!str_copy(text, bare, sizeof bare))
		return -EINVAL;
	if (strchr(bare, ':')) {
		if (!take_scope(bare, &addr->v6.sin6_scope_id) || inet_pton(AF_INET6, bare, &addr->v6.sin6_addr) != 1)
			return -EINVAL;
		addr->v6.sin6_family = AF_INET6;
		addr->v6.sin6_port = htons(port);
		addr->len = sizeof addr->v6;
		return 0;
	}
	if (text.p != host && host[0] == '[')
		return -EINVAL; /* "[127.0.0.1]" */
	if (inet_pton(AF_INET, bare, &addr->v4.sin_addr) != 1)
		return -EINVAL;
	addr->v4.sin_family = AF_INET;
	addr->v4.sin_port = htons(port);
	addr->len = sizeof addr->v4;
	return 0;
}

int sock_parse(const char *host, uint16_t port, struct sock_addr *out, struct err *err)
{
	struct str text = str_from(host);
	struct sock_addr addr;
	char shown[256];
	int r;

	if (str_starts(text, LS_STR("unix:")) || str_starts(text, LS_STR("/"))) {
		r = set_unix(&addr, str_skip(text, text.p[0] == '/' ? 0 : sizeof "unix:" - 1));
		if (r == 0 && addr.un.sun_path[0] != '/')
			r = -EINVAL;
		if (r == -ENAMETOOLONG)
			return err_set(err, r, "the socket path \"%s\" is longer than %d bytes",
			               str_escape(text, shown, sizeof shown), PATH_CAP - 1);
		if (r < 0)
			return err_set(err, r, "\"unix:\" must be followed by an absolute path");
	} else if (set_inet(&addr, text.p, port) < 0) {
		return err_set(err, -EINVAL, "\"%s\" is not an address (IPv4, IPv6, * or unix:/path)",
		               str_escape(text, shown, sizeof shown));
	}
	*out = addr;
	return 0;
}

static struct str unix_path(const struct sock_addr *addr)
{
	size_t before = offsetof(struct sockaddr_un, sun_path);
	size_t room = addr->len > before ? addr->len - before : 0;

	return str_make(addr->un.sun_path, strnlen(addr->un.sun_path, LS_MIN(room, (size_t)PATH_CAP)));
}

/* As inet_ntop() would, which goes through printf: it is done for each datagram. */
static void put_ipv4(const uint8_t ip[4], char *out)
{
	for (int i = 0; i < 4; i++) {
		if (ip[i] >= 100)
			*out++ = (char)('0' + ip[i] / 100);
		if (ip[i] >= 10)
			*out++ = (char)('0' + ip[i] / 10 % 10);
		*out++ = (char)('0' + ip[i] % 10);
		*out++ = i < 3 ? '.' : '\0';
	}
}

/* RFC 4007 §11.2: a link-local address alone does not say where the peer is. */
static void put_ipv6(const struct sock_peer *peer, char *out)
{
	inet_ntop(AF_INET6, peer->ip, out, SOCK_TEXT_MAX);
	if (peer->scope) {
		size_t len = strlen(out);

		snprintf(out + len, SOCK_TEXT_MAX - len, "%%%u", peer->scope);
	}
}

const char *sock_text(const struct sock_addr *addr, char *out)
{
	struct sock_peer peer = sock_peer_of(addr);
	struct str path;
	char ip[SOCK_TEXT_MAX];

	if (addr->sa.sa_family == AF_UNIX) {
		path = unix_path(addr);
		snprintf(out, SOCK_TEXT_MAX, "unix:%.*s", LS_STR_ARG(path));
	} else if (addr->sa.sa_family == AF_INET) {
		snprintf(out, SOCK_TEXT_MAX, "%.64s:%u", sock_peer_text(&peer, ip), peer.port);
	} else if (addr->sa.sa_family == AF_INET6) {
		put_ipv6(&peer, ip);
		snprintf(out, SOCK_TEXT_MAX, "[%.64s]:%u", ip, peer.port);
	} else {
		str_copy(LS_STR("unknown"), out, SOCK_TEXT_MAX);
	}
	return out;
}

const char *sock_peer_text(const struct sock_peer *peer, char *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (peer->family == AF_UNIX)
		str_copy(LS_STR("unix:"), out, SOCK_TEXT_MAX);
	else if (peer->family == AF_INET)
		put_ipv4(peer->ip, out);
	else if (peer->family == AF_INET6 && memcmp(peer->ip, mapped, sizeof mapped) == 0)
		put_ipv4(peer->ip + sizeof mapped, out);
	else if (peer->family == AF_INET6)
		put_ipv6(peer, out);
	else
		str_copy(LS_STR("unknown"), out, SOCK_TEXT_MAX);
	return out;
}

struct sock_peer sock_peer_of(const struct sock_addr *addr)
{
	struct sock_peer peer = { 0 };

	if (addr->sa.sa_family == AF_INET) {
		memcpy(peer.ip, &addr->v4.sin_addr, sizeof addr->v4.sin_addr);
		peer.port = ntohs(addr->v4.sin_port);
	} else if (addr->sa.sa_family == AF_INET6) {
		memcpy(peer.ip, &addr->v6.sin6_addr, sizeof addr->v6.sin6_addr);
		peer.port = ntohs(addr->v6.sin6_port);
		peer.scope = addr->v6.sin6_scope_id;
	} else if (addr->sa.sa_family != AF_UNIX) {
		return peer;
	}
	peer.family = (uint8_t)addr->sa.sa_family;
	return peer;
}

int sock_addr_of(const struct sock_peer *peer, struct sock_addr *out)
{
	*out = (struct sock_addr){ 0 };
	out->sa.sa_family = peer->family;
	switch (peer->family) {
	case AF_INET:
		memcpy(&out->v4.sin_addr, peer->ip, sizeof out->v4.sin_addr);
		out->v4.sin_port = htons(peer->port);
		out->len = sizeof out->v4;
		return 0;
	case AF_INET6:
		memcpy(&out->v6.sin6_addr, peer->ip, sizeof out->v6.sin6_addr);
		out->v6.sin6_port = htons(peer->port);
		out->v6.sin6_scope_id = peer->scope;
		out->len = sizeof out->v6;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

struct sock_far sock_far_of(const struct sock_addr *addr)
{
	struct sock_far far = { .peer = sock_peer_of(addr) };
	size_t before = offsetof(struct sockaddr_un, sun_path);
	size_t len = addr->sa.sa_family == AF_UNIX && addr->len > before ? addr->len - before : 0;

	/* A path ends with its NUL, an abstract name with the address. */
	if (len > 0 && addr->un.sun_path[0] != '\0')
		len = strnlen(addr->un.sun_path, len);
	len = LS_MIN(len, sizeof far.path);
	memcpy(far.path, addr->un.sun_path, len);
	far.peer.path_len = (uint8_t)len;
	return far;
}

int sock_addr_of_far(const struct sock_far *far, struct sock_addr *out)
{
	size_t len = far->peer.path_len;

	if (far->peer.family != AF_UNIX)
		return sock_addr_of(&far->peer, out);
	if (len == 0 || len >= PATH_CAP)
		return -EAFNOSUPPORT;
	*out = (struct sock_addr){ .un = { .sun_family = AF_UNIX } };
	memcpy(out->un.sun_path, far->path, len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (far->path[0] != '\0'));
	return 0;
}

int sock_far_read(struct str bytes, struct sock_far *out)
{
	struct sock_far far = { 0 };

	if (bytes.len < sizeof far.peer)
		return -EBADMSG;
	memcpy(&far.peer, bytes.p, sizeof far.peer);
	if (far.peer.path_len > sizeof far.path || bytes.len < sock_far_size(&far))
		return -EBADMSG;
	memcpy(far.path, bytes.p + sizeof far.peer, far.peer.path_len);
	*out = far;
	return 0;
}

const char *sock_far_text(const struct sock_far *far, char *out)
{
	size_t len = far->peer.path_len;

	if (far->peer.family != AF_UNIX)
		return sock_peer_text(&far->peer, out);
	str_copy(str_make(far->path, len), out, SOCK_TEXT_MAX);
	if (len > 0 && far->path[0] == '\0')
		out[0] = '@';
	return out;
}

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

int sock_set_nodelay(int fd, bool on)
{
	return set_option(fd, IPPROTO_TCP, TCP_NODELAY, on);
}

/* Accepted sockets inherit all of these. */
static int set_listen_options(int fd, int family, const struct sock_listen_opts *opts)
{
	bool tcp = family != AF_UNIX && !opts->datagram;
	struct {
		bool wanted;
		int level, name, value;
	} const options[] = {
		{ opts->recv_buffer, SOL_SOCKET, SO_RCVBUF, opts->recv_buffer },
		{ opts->send_buffer, SOL_SOCKET, SO_SNDBUF, opts->send_buffer },
		{ tcp, SOL_SOCKET, SO_REUSEADDR, 1 },
		{ family != AF_UNIX && opts->reuse_port, SOL_SOCKET, SO_REUSEPORT, 1 },
		{ tcp && opts->nodelay, IPPROTO_TCP, TCP_NODELAY, 1 },
		{ tcp && opts->keepalive, SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ tcp && opts->keepalive && opts->keepidle, IPPROTO_TCP, TCP_KEEPIDLE, opts->keepidle },
		{ tcp && opts->keepalive && opts->keepinterval, IPPROTO_TCP, TCP_KEEPINTVL, opts->keepinterval },
		{ tcp && opts->keepalive && opts->keepcount, IPPROTO_TCP, TCP_KEEPCNT, opts->keepcount },
		{ tcp && opts->user_timeout, IPPROTO_TCP, TCP_USER_TIMEOUT, opts->user_timeout },
		{ tcp && opts->defer_accept, IPPROTO_TCP, TCP_DEFER_ACCEPT, opts->defer_accept },
		{ tcp && opts->fastopen, IPPROTO_TCP, TCP_FASTOPEN, opts->fastopen },
		{ family == AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, opts->ipv6_only },
	};

	for (size_t i = 0; i < LS_COUNT(options); i++) {
		int r = 0;

		if (options[i].wanted)
			r = set_option(fd, options[i].level, options[i].name, options[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* 0: the path is free now.  -EADDRINUSE: somebody answers there.  -ENOTSOCK: it is something else. */
static int clear_unix_path(const struct sock_addr *addr)
{
	struct stat st;
	int fd, r;

	if (lstat(addr->un.sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Only a refusal proves that nobody is there: a busy server gives EAGAIN, another kind EPROTOTYPE. */
	r = connect(fd, &addr->sa, addr->len) < 0 ? -errno : 0;
	fd_close(&fd);
	if (r == -ENOENT)
		return 0;
	if (r != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(addr->un.sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static const char *listen_reason(const struct sock_addr *addr, int r)
{
	switch (r) {
	case -EADDRINUSE:
		return "another program listens there already";
	case -EADDRNOTAVAIL:
		return "this machine has no such address";
	case -EACCES:
		return addr->sa.sa_family == AF_UNIX
		               ? "permission denied"
		               : "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)";
	case -ENOTSOCK:
		return "the path exists and is not a socket";
	default:
		return strerror(-r);
	}
}

static int bind_and_listen(int fd, struct sock_addr *addr, const struct sock_listen_opts *opts)
{
	int r = 0;

	if (addr->sa.sa_family == AF_UNIX)
		r = clear_unix_path(addr);
	if (r == 0)
		r = set_listen_options(fd, addr->sa.sa_family, opts);
	if (r < 0)
		return r;
	if (bind(fd, &addr->sa, addr->len) < 0)
		return -errno;
	if (!opts->datagram && listen(fd, opts->backlog) < 0)
		return -errno;
	if (addr->sa.sa_family == AF_UNIX)
		return 0;

	socklen_t len = sizeof addr->storage;

	if (getsockname(fd, &addr->sa, &len) < 0)
		return -errno;
	addr->len = len;
	return 0;
}

int sock_listen(struct sock_addr *addr, const struct sock_listen_opts *opts, struct err *err)
{
	char text[SOCK_TEXT_MAX];
	int type = opts->datagram ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(addr->sa.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = fd < 0 ? -errno : bind_and_listen(fd, addr, opts);

	if (r == 0)
		return fd;
	fd_close(&fd);
	return err_set(err, r, "cannot listen on %s: %s", sock_text(addr, text), listen_reason(addr, r));
}

int sock_accept(int fd, struct sock_peer *peer)
{
	struct sock_addr addr;
	int conn;

	if (FAULT(accept_again))
		return -EAGAIN;
	/* A connection that ended while it was queued is not worth a word; the next may be alive. */
	do {
		addr = (struct sock_addr){ .len = sizeof addr.storage };
		conn = accept4(fd, &addr.sa, &addr.len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (conn < 0)
		return -errno;
	*peer = sock_peer_of(&addr);
	return conn;
}

/* An interrupted connect() goes on by itself; calling it again would be an error. */
static int finish_connect(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error, n;

	do
		n = poll(&poll_fd, 1, -1);
	while (n < 0 && errno == EINTR);
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

int sock_connect(const struct sock_addr *addr)
{
	int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, &addr->sa, addr->len) < 0)
		r = errno == EINTR ? finish_connect(fd) : -errno;
	if (r == 0)
		return fd;
	fd_close(&fd);
	return r;
}

int sock_connect_unix(const char *path)
{
	struct sock_addr addr;
	int r = set_unix(&addr, str_from(path));

	return r < 0 ? r : sock_connect(&addr);
}

int sock_datagram(int family)
{
	const struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r = 0;

	if (fd < 0)
		return -errno;
	/* Bound to nothing: the kernel makes a name up. */
	if (family == AF_UNIX && bind(fd, (const void *)&any, offsetof(struct sockaddr_un, sun_path)) < 0)
		r = -errno;
	if (r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

int sock_bind_from(int fd, const struct sock_addr *from, int family)
{
	int on = 1;

	if (from->len == 0)
		return 0;
	if (from->sa.sa_family != family)
		return -EAFNOSUPPORT;
	/* A port of our own choice may have connections of before that linger. */
	if (family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
		return -errno;
	return bind(fd, &from->sa, from->len) < 0 ? -errno : 0;
}

/* In a process with threads the C library brackets either call with two atomic operations, so that pthread_cancel() could end it.
 * Nobody here is cancelled.  Sanitizers see what the library's functions write, so they get those. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(SYS_recvfrom) || !defined(SYS_sendto)
#define PLAIN_RECV(fd, to, len) recv(fd, to, len, 0)
#define PLAIN_SEND(fd, from, len) send(fd, from, len, MSG_NOSIGNAL)
#else
#define PLAIN_RECV(fd, to, len) syscall(SYS_recvfrom, fd, to, len, 0, NULL, NULL)
#define PLAIN_SEND(fd, from, len) syscall(SYS_sendto, fd, from, len, MSG_NOSIGNAL, NULL, 0)
#endif

ssize_t sock_recv(int fd, void *to, size_t len)
{
	ssize_t n = PLAIN_RECV(fd, to, len);

	return n >= 0 ? n : -errno;
}

ssize_t sock_send(int fd, const void *from, size_t len)
{
	ssize_t n = PLAIN_SEND(fd, from, len);

	return n >= 0 ? n : -errno;
}
