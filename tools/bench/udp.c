/* UDP for tools/bench/sockets.py: "server PORT" echoes one datagram at a time (recvfrom, sendto), as the program to compare with;
 * "client PORT COUNT WINDOW" has that many datagrams of 64 bytes echoed and prints one line of JSON.  The client sends and receives many
 * with one call (UDP_SEGMENT, UDP_GRO), so that it is not what limits the rate. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LEN = 64, BATCH = 64, PATIENCE_MS = 200 };

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		                     .sin_port = htons((uint16_t)port),
		                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void die(const char *what)
{
	fprintf(stderr, "udp: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void serve(unsigned port)
{
	struct sockaddr_in here = loopback(port), from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char data[2048];

	if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0)
		die("binding");
	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			(void)!sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char bytes[BATCH * LEN], room[65536];

/* Up to BATCH datagrams; how many were sent. */
static unsigned send_many(int fd, unsigned n)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(uint16_t))];
	} control = { 0 };
	struct iovec iov = { bytes, (size_t)n * LEN };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t sent;

	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	memcpy(CMSG_DATA(c), &(uint16_t){ LEN }, sizeof(uint16_t));
	sent = sendmsg(fd, &m, 0);
	return sent > 0 ? (unsigned)(sent / LEN) : 0;
}

static int ask(unsigned port, uint64_t count, uint64_t window)
{
	struct sockaddr_in to = loopback(port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 4 << 20, on = 1;
	uint64_t sent = 0, got = 0, lost = 0;
	double start;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connecting");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	(void)setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on);
	start = now();
	while (got + lost < count) {
		uint64_t room_left = window - (sent - got - lost), left = count - sent;
		unsigned n = (unsigned)(room_left < left ? room_left : left);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		unsigned out_n = n >= BATCH / 2 || n == left ? send_many(fd, n < BATCH ? n : BATCH) : 0;
		ssize_t in = recv(fd, room, sizeof room, 0);

		sent += out_n;
		got += in > 0 ? (uint64_t)in / LEN : 0;
		if (in <= 0 && out_n == 0 && poll(&p, 1, PATIENCE_MS) == 0)
			lost = sent - got;
	}

	double seconds = now() - start;

	printf("{\"datagrams\":%llu,\"lost\":%llu,\"seconds\":%.3f,\"rate\":%.0f}\n", (unsigned long long)count,
	       (unsigned long long)lost, seconds, (double)got / seconds);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned port = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	if (port && strcmp(argv[1], "server") == 0)
		serve(port);
	if (port && argc == 5 && strcmp(argv[1], "client") == 0)
		return ask(port, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
	return 2;
}
