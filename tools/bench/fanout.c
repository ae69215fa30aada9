/* Client of tools/bench/sockets.py: many connections that get what is published, and how long it takes until all have it.
 *
 * One thread, one epoll; loopback only.  Prints one line of JSON with the medians of the rounds, in milliseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, PER_ADDRESS = 1000, ROUNDS_MAX = 100 };

static int epoll;
static uint64_t received;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
	fprintf(stderr, "fanout: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* From several addresses, so that ports do not run out. */
static int dial(unsigned port, unsigned i)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + i / PER_ADDRESS) };
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	/* The port is chosen by connect(), which may take one that an earlier run has left in TIME_WAIT. */
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)&from, sizeof from) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connecting");
	return fd;
}

static void say(int fd, const char *line)
{
	if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		die("writing");
}

/* A line of the control connection. */
static double answer(int fd)
{
	char line[64];
	size_t n = 0;

	while (n < sizeof line - 1 && (n == 0 || line[n - 1] != '\n')) {
		ssize_t r = read(fd, line + n, sizeof line - 1 - n);

		if (r <= 0)
			die("the answer");
		n += (size_t)r;
	}
	line[n] = '\0';
	return strtod(line, NULL);
}

static void drain(uint64_t wanted)
{
	static char buffer[65536];
	struct epoll_event events[EVENTS];

	while (received < wanted) {
		int n = epoll_wait(epoll, events, EVENTS, 10000);

		if (n <= 0)
			die("not everybody got everything within 10 s");
		for (int i = 0; i < n; i++) {
			ssize_t r = read(events[i].data.fd, buffer, sizeof buffer);

			if (r <= 0)
				die("reading");
			received += (uint64_t)r;
		}
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof *values, by_size);
	return values[n / 2];
}

static void measure(const char *what, int control, unsigned conns, unsigned size, unsigned rounds)
{
	double all[ROUNDS_MAX], handler[ROUNDS_MAX];
	char line[64];

	snprintf(line, sizeof line, "%s %u\n", what, size);
	for (unsigned i = 0; i < rounds; i++) {
		double start = now_ms();

		received = 0;
		say(control, line);
		drain((uint64_t)conns * size);
		all[i] = now_ms() - start;
		handler[i] = answer(control);
	}
	printf("\"%s\":{\"delivered_ms\":%.2f,\"handler_ms\":%.3f}", what, median(all, rounds),
	       median(handler, rounds));
}

int main(int argc, char **argv)
{
	unsigned port = argc > 1 ? (unsigned)atoi(argv[1]) : 0, conns = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	unsigned size = argc > 3 ? (unsigned)atoi(argv[3]) : 1024, rounds = argc > 4 ? (unsigned)atoi(argv[4]) : 11;
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (port == 0 || rounds > ROUNDS_MAX)
		return 2;
	epoll = epoll_create1(0);
	for (unsigned i = 0; i < conns; i++) {
		struct epoll_event e = { .events = EPOLLIN };

		e.data.fd = dial(port, i);
		say(e.data.fd, "join\n");
		(void)answer(e.data.fd);
		epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e);
	}

	int control = dial(port, conns);

	printf("{\"connections\":%u,\"bytes\":%u,", conns, size);
	measure("publish", control, conns, size, rounds);
	printf(",");
	measure("loop", control, conns, size, rounds);
	printf("}\n");
	return 0;
}
