#include "sys/activation.h"

#include "sys/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_FD = 3 };

static unsigned long number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	return text && *text && *end == '\0' ? n : 0;
}

static void forget_environment(void)
{
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}

static int keep(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

int activation_open(struct activation *a, struct err *err)
{
	unsigned long n = number_of("LISTEN_PID") == (unsigned long)getpid() ? number_of("LISTEN_FDS") : 0;

	a->n = 0;
	forget_environment();
	if (n > ACTIVATION_MAX)
		return err_set(err, -E2BIG, "LISTEN_FDS hands over %lu sockets, but a server has %d ports at most", n,
		               ACTIVATION_MAX);
	for (unsigned i = 0; i < n; i++) {
		int r = keep(FIRST_FD + (int)i);

		if (r < 0)
			return err_set(err, r, "descriptor %u, which LISTEN_FDS hands over, cannot be used: %s",
			               FIRST_FD + i, strerror(-r));
		a->fds[a->n++] = FIRST_FD + (int)i;
	}
	return 0;
}

static int option_of(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value;
}

static bool is_kind(int fd, bool datagram)
{
	if (option_of(fd, SOL_SOCKET, SO_TYPE) != (datagram ? SOCK_DGRAM : SOCK_STREAM))
		return false;
	return datagram || option_of(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
}

static int bound_to(int fd, struct sock_addr *addr)
{
	addr->len = sizeof addr->storage;
	return getsockname(fd, &addr->sa, &addr->len) < 0 ? -errno : 0;
}

static bool is_any(const struct sock_addr *addr)
{
	return addr->sa.sa_family == AF_INET && addr->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool is_dual(int fd, const struct sock_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr) &&
	       option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
}

static bool matches(int fd, const struct sock_addr *wanted)
{
	struct sock_addr bound;
	char a[SOCK_TEXT_MAX], b[SOCK_TEXT_MAX];

	if (bound_to(fd, &bound) < 0)
		return false;
	if (is_any(wanted) && is_dual(fd, &bound))
		return bound.v6.sin6_port == wanted->v4.sin_port;
	return strcmp(sock_text(&bound, a), sock_text(wanted, b)) == 0;
}

int activation_take(struct activation *a, const struct sock_addr *addr, bool datagram)
{
	for (unsigned i = 0; i < a->n; i++) {
		int fd = a->fds[i];

		if (fd < 0 || !is_kind(fd, datagram) || !matches(fd, addr))
			continue;
		a->fds[i] = -1;
		return fd;
	}
	return -1;
}

const char *activation_left(const struct activation *a, char text[SOCK_TEXT_MAX])
{
	struct sock_addr addr;

	for (unsigned i = 0; i < a->n; i++)
		if (a->fds[i] >= 0)
			return bound_to(a->fds[i], &addr) == 0 ? sock_text(&addr, text) : "not a socket";
	return NULL;
}

void activation_close(struct activation *a)
{
	for (unsigned i = 0; i < a->n; i++)
		fd_close(&a->fds[i]);
	a->n = 0;
}
