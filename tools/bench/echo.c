/* Echo over unix stream sockets and UDP for tools/bench/sockets.py: "serve unix PATH" and "serve udp PORT" are the servers to compare
 * with, one epoll loop without anything else; "load unix PATH CLIENTS SECONDS" and "load udp PORT CLIENTS SECONDS" keep one message of
 * 64 bytes under way for each client and print one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LEN = 64, EVENTS = 256 };

union address {
	struct sockaddr sa;
	struct sockaddr_un un;
	struct sockaddr_in in;
};

static void die(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* A socket of the named kind, and the address that goes with it. */
static int open_socket(const char *kind, const char *where, union address *a, socklen_t *len)
{
	int fd;

	memset(a, 0, sizeof *a);
	if (strcmp(kind, "unix") == 0) {
		a->un.sun_family = AF_UNIX;
		snprintf(a->un.sun_path, sizeof a->un.sun_path, "%s", where);
		*len = sizeof a->un;
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} else {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)atoi(where));
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof a->in;
		fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	}
	if (fd < 0)
		die("socket");
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		die("epoll_ctl");
}

static void echo_stream(int fd)
{
	char data[4096];
	ssize_t n = read(fd, data, sizeof data);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		close(fd);
	else if (n > 0 && write(fd, data, (size_t)n) != n)
		close(fd);
}

static void echo_datagrams(int fd)
{
	char data[2048];
	union address from;
	socklen_t len = sizeof from;
	ssize_t n;

	while ((n = recvfrom(fd, data, sizeof data, 0, &from.sa, &len)) >= 0) {
		(void)!sendto(fd, data, (size_t)n, 0, &from.sa, len);
		len = sizeof from;
	}
}

static void serve(const char *kind, const char *where)
{
	struct epoll_event events[EVENTS];
	union address a;
	socklen_t len;
	int fd = open_socket(kind, where, &a, &len), epoll = epoll_create1(0);
	int stream = strcmp(kind, "unix") == 0;

	if (bind(fd, &a.sa, len) < 0 || (stream && listen(fd, 512) < 0))
		die("binding");
	watch(epoll, fd);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int at = events[i].data.fd, client;

			if (at != fd)
				echo_stream(at);
			else if (!stream)
				echo_datagrams(fd);
			else if ((client = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
				watch(epoll, client);
		}
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void load(const char *kind, const char *where, int clients, double seconds)
{
	struct epoll_event events[EVENTS];
	char data[LEN] = { 0 };
	int epoll = epoll_create1(0);
	long messages = 0, wrong = 0;
	double start, end;

	for (int i = 0; i < clients; i++) {
		union address a;
		socklen_t len;
		int fd = open_socket(kind, where, &a, &len);

		if (connect(fd, &a.sa, len) < 0)
			die("connecting");
		watch(epoll, fd);
		if (write(fd, data, LEN) != LEN)
			die("sending");
	}
	start = now();
	end = start + seconds;
	while (now() < end) {
		int n = epoll_wait(epoll, events, EVENTS, 100);

		for (int i = 0; i < n; i++) {
			if (read(events[i].data.fd, data, LEN) != LEN || write(events[i].data.fd, data, LEN) != LEN)
				wrong++;
			else
				messages++;
		}
	}
	printf("{\"messages\":%ld,\"wrong\":%ld,\"rate\":%.0f}\n", messages, wrong, (double)messages / (now() - start));
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], argv[3]);
	else if (argc == 6 && strcmp(argv[1], "load") == 0)
		load(argv[2], argv[3], atoi(argv[4]), atof(argv[5]));
	else
		fprintf(stderr, "usage: echo serve unix|udp WHERE | echo load unix|udp WHERE CLIENTS SECONDS\n");
	return argc != 6;
}
