/* Load client of tools/bench: HTTP/1.1 with keep-alive, pipelined or a connection per request, or an echo over TCP.
 *
 * One thread, one epoll; loopback only; ends after --secs.  Prints one line of JSON.  The warm-up is served but not
 * measured: "served" has all answers, "requests" those after it.
 */
#include "hist.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, HEAD_MAX = 2048, READ_MAX = 256 << 10, EVENTS = 256 };
static const uint64_t WARM_UP_NS = 500000000, STUCK_NS = 1000000000;

struct client {
	int fd;
	unsigned oldest;    /* index in sent_at of the oldest request without an answer */
	unsigned in_flight; /* requests without a whole answer */
	unsigned due;       /* requests that may be sent */
	size_t unsent;      /* bytes of them that the socket did not take */
	uint64_t body_left; /* of the answer being read */
	unsigned head_len;
	char head[HEAD_MAX]; /* of an answer that came in pieces */
	uint64_t sent_at[DEPTH_MAX];
};

static struct {
	unsigned port, conns, depth, echo, idle;
	double secs;
	bool close;
	const char *path;
} opt = { .conns = 50, .depth = 1, .secs = 3, .path = "/" };

static struct client *clients;
static int epoll;
static char *requests; /* DEPTH_MAX of them in a row */
static size_t request_len;
static struct hist hist;
static uint64_t served, errors, reconnects, measure_from;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void client_connect(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to))
		die("cannot connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->oldest = c->in_flight = c->head_len = 0;
	c->unsent = 0;
	c->body_left = 0;
	c->due = opt.depth;
}

static void client_watch(struct client *c, int op, bool writable)
{
	struct epoll_event ev = { .events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = c };

	if (epoll_ctl(epoll, op, c->fd, &ev))
		die("epoll_ctl");
}

/* Sends what is due in one call. */
static void client_send(struct client *c, uint64_t now)
{
	size_t before = c->unsent;

	for (; c->due; c->due--) {
		c->sent_at[(c->oldest + c->in_flight++) % DEPTH_MAX] = now;
		c->unsent += request_len;
	}
	if (!c->unsent)
		return;

	/* All requests are the same, so the bytes still to be sent are the row's last ones. */
	const char *from = requests + DEPTH_MAX * request_len - c->unsent;
	ssize_t n = send(c->fd, from, c->unsent, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n > 0)
		c->unsent -= (size_t)n;
	if (!before != !c->unsent)
		client_watch(c, EPOLL_CTL_MOD, c->unsent > 0);
}

static void client_reopen(struct client *c)
{
	close(c->fd);
	client_connect(c);
	client_watch(c, EPOLL_CTL_ADD, false);
	client_send(c, now_ns());
}

static void client_answered(struct client *c, uint64_t now)
{
	if (now >= measure_from)
		hist_add(&hist, now - c->sent_at[c->oldest]);
	c->oldest = (c->oldest + 1) % DEPTH_MAX;
	c->in_flight--;
	c->due += !opt.close;
	served++;
}

/* The body's length from a whole head.  Most heads equal the one before. */
static uint64_t body_length(const char *head, size_t len)
{
	static char last[HEAD_MAX];
	static size_t last_len;
	static uint64_t last_length;
	static bool last_bad;

	if (len == last_len && !memcmp(head, last, len)) {
		errors += last_bad;
		return last_length;
	}
	if (len >= sizeof last) {
		errors++;
		return 0;
	}
	memcpy(last, head, len);
	last[len] = '\0';
	last_len = len;

	const char *at = strcasestr(last, "\r\ncontent-length:");

	last_bad = len < 12 || memcmp(last + 9, "200", 3) || !at;
	errors += last_bad;
	last_length = at ? strtoull(at + 17, NULL, 10) : 0;
	return last_length;
}

/* Reads a head, or a part of one, from p.  Returns how many bytes that took. */
static size_t take_head(struct client *c, const char *p, size_t n, uint64_t now)
{
	size_t eaten = n;

	if (!c->head_len) {
		const char *end = memmem(p, n, "\r\n\r\n", 4);

		if (end) {
			eaten = (size_t)(end - p) + 4;
			c->body_left = body_length(p, eaten);
			if (!c->body_left)
				client_answered(c, now);
			return eaten;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (c->head_len == HEAD_MAX) {
			errors++;
			return n;
		}
		c->head[c->head_len++] = p[i];
		if (c->head_len < 4 || memcmp(c->head + c->head_len - 4, "\r\n\r\n", 4))
			continue;
		c->body_left = body_length(c->head, c->head_len);
		c->head_len = 0;
		if (!c->body_left)
			client_answered(c, now);
		return i + 1;
	}
	return eaten;
}

static void take_answers(struct client *c, const char *p, size_t n, uint64_t now)
{
	while (n && c->in_flight) {
		size_t eaten;

		if (opt.echo && !c->body_left)
			c->body_left = opt.echo;
		if (c->body_left) {
			eaten = n < c->body_left ? n : (size_t)c->body_left;
			if (opt.echo && memcmp(p, requests + (opt.echo - c->body_left), eaten))
				errors++;
			c->body_left -= eaten;
			if (!c->body_left)
				client_answered(c, now);
		} else {
			eaten = take_head(c, p, n, now);
		}
		p += eaten;
		n -= eaten;
	}
	if (n)
		errors++; /* more than was asked for */
}

/* One read.  False: the connection is at its end. */
static bool client_read(struct client *c, int flags)
{
	static char in[READ_MAX];
	ssize_t n = recv(c->fd, in, sizeof in, flags);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	take_answers(c, in, (size_t)n, now_ns());
	return true;
}

static void client_event(struct client *c)
{
	if (!client_read(c, MSG_DONTWAIT)) {
		errors += c->in_flight;
		reconnects++;
		client_reopen(c);
	} else if (opt.close && !c->in_flight) {
		client_reopen(c);
	} else {
		client_send(c, now_ns());
	}
}

static void run(void)
{
	uint64_t start = now_ns();
	uint64_t end = start + WARM_UP_NS + (uint64_t)(opt.secs * 1e9);
	struct epoll_event events[EVENTS];
	uint64_t now;

	measure_from = start + WARM_UP_NS;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < opt.conns; i++) {
		client_connect(&clients[i]);
		client_watch(&clients[i], EPOLL_CTL_ADD, false);
		client_send(&clients[i], now_ns());
	}
	while ((now = now_ns()) < end) {
		int n = epoll_wait(epoll, events, EVENTS, 100);

		for (int i = 0; i < n; i++)
			client_event(events[i].data.ptr);
	}
	for (unsigned i = 0; i < opt.conns; i++) {
		if (clients[i].in_flight && now - clients[i].sent_at[clients[i].oldest] > STUCK_NS)
			errors += clients[i].in_flight;
	}

	double secs = (double)(now - measure_from) / 1e9;

	printf("{\"requests\":%llu,\"served\":%llu,\"secs\":%.3f,\"req_per_s\":%.1f,\"errors\":%llu,\"reconnects\":%llu,"
	       "\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f}}\n",
	       (unsigned long long)hist.count, (unsigned long long)served, secs, (double)hist.count / secs,
	       (unsigned long long)errors, (unsigned long long)reconnects, hist_us(&hist, .5), hist_us(&hist, .9),
	       hist_us(&hist, .99), (double)hist.max / 1000);
}

/* Opens opt.idle connections with one exchange on each, says so, and holds them until stdin ends. */
static void hold(void)
{
	unsigned alive = 0;
	char byte;

	opt.depth = 1;
	for (unsigned i = 0; i < opt.idle; i++) {
		struct client *c = &clients[i];

		client_connect(c);
		c->sent_at[0] = now_ns();
		c->in_flight = 1;
		c->due = 0;
		if (send(c->fd, requests, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
			die("send");
		while (c->in_flight) {
			if (!client_read(c, 0))
				die("a connection was closed");
		}
	}
	printf("{\"ready\":%u,\"errors\":%llu}\n", opt.idle, (unsigned long long)errors);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	for (unsigned i = 0; i < opt.idle; i++)
		alive += recv(clients[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
	printf("{\"alive\":%u}\n", alive);
}

static void make_requests(void)
{
	char one[1024];

	if (opt.echo) {
		request_len = opt.echo;
	} else {
		request_len = (size_t)snprintf(one, sizeof one, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s\r\n",
		                               opt.path, opt.port, opt.close ? "Connection: close\r\n" : "");
	}
	requests = malloc(DEPTH_MAX * request_len);
	if (!requests || request_len >= sizeof one + opt.echo)
		die("bad request");
	for (unsigned i = 0; i < DEPTH_MAX; i++) {
		if (!opt.echo)
			memcpy(requests + i * request_len, one, request_len);
		for (size_t at = 0; opt.echo && at < request_len; at++)
			requests[i * request_len + at] = (char)('a' + at % 26);
	}
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", 1, NULL, 'p' },  { "path", 1, NULL, 'P' }, { "conns", 1, NULL, 'c' },
		{ "depth", 1, NULL, 'd' }, { "secs", 1, NULL, 't' }, { "close", 0, NULL, 'x' },
		{ "echo", 1, NULL, 'e' },  { "idle", 1, NULL, 'i' }, { NULL, 0, NULL, 0 },
	};

	for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (o) {
		case 'p':
			opt.port = (unsigned)atoi(optarg);
			break;
		case 'P':
			opt.path = optarg;
			break;
		case 'c':
			opt.conns = (unsigned)atoi(optarg);
			break;
		case 'd':
			opt.depth = (unsigned)atoi(optarg);
			break;
		case 't':
			opt.secs = atof(optarg);
			break;
		case 'x':
			opt.close = true;
			break;
		case 'e':
			opt.echo = (unsigned)atoi(optarg);
			break;
		case 'i':
			opt.idle = (unsigned)atoi(optarg);
			break;
		default:
			opt.port = 0;
		}
	}
	if (!opt.port || opt.port > 65535 || !opt.conns || opt.conns > 10000 || !opt.depth || opt.depth > DEPTH_MAX ||
	    opt.secs <= 0 || opt.secs > 600 || opt.idle > 100000 || opt.echo > 1 << 20) {
		fprintf(stderr,
		        "load --port N [--path /] [--conns 50] [--depth 1] [--secs 3] [--close] [--echo BYTES]\n"
		        "     [--idle N]\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;

	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	make_requests();
	clients = calloc(opt.idle > opt.conns ? opt.idle : opt.conns, sizeof *clients);
	if (!clients)
		die("calloc");
	if (opt.idle)
		hold();
	else
		run();
	return errors > 0 && !hist.count;
}
