/* t/unit/test_listen.c — accepting within a budget, refusing, and what happens when descriptors run out. */
#include "net/listen.c"

#include "tap.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { CLIENTS = 150, TAKEN_MAX = 256 };

static struct loop loop;
static struct port port;
static struct sock_addr address;
static struct listener *listener;

static struct {
	int fds[TAKEN_MAX];
	unsigned n;
	unsigned refused;
	unsigned allowed; /* may_accept says yes so often */
	bool close_listener;
	struct sock_peer peer;
} taken;

static void on_accept(void *ctx, int fd, const struct port *of, const struct sock_peer *peer)
{
	if (ctx != &taken || of != &port || taken.n == TAKEN_MAX)
		abort();
	taken.fds[taken.n++] = fd;
	taken.peer = *peer;
	if (taken.close_listener) {
		listener_close(listener);
		listener = NULL;
	}
}

static bool may_accept(void *ctx)
{
	(void)ctx;
	return taken.n < taken.allowed;
}

static void on_refused(void *ctx)
{
	(void)ctx;
	taken.refused++;
}

static void open_listener(enum settings_protocol protocol)
{
	struct sock_listen_opts opts = { .backlog = 512 };
	struct err err = { 0 };
	struct listener_opts o = {
		.loop = &loop,
		.port = &port,
		.on_accept = on_accept,
		.may_accept = may_accept,
		.on_refused = on_refused,
		.ctx = &taken,
	};

	taken.n = taken.refused = 0;
	taken.allowed = TAKEN_MAX;
	taken.close_listener = false;
	port.protocol = (int)protocol;
	sock_parse("127.0.0.1", 0, &address, &err);
	o.fd = sock_listen(&address, &opts, &err);
	listener = listener_open(&o, &err);
	if (!listener)
		abort();
}

static void close_all(int *clients, unsigned n)
{
	while (n > 0)
		close(clients[--n]);
	while (taken.n > 0)
		close(taken.fds[--taken.n]);
	listener_close(listener);
	loop_turn(&loop, false);
}

static void connect_all(int *clients, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		clients[i] = sock_connect(&address);
}

/* What a client reads until the end, terminated; "timeout" if there is none. */
static const char *reads(int fd)
{
	static char text[4096];
	size_t len = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n = poll(&p, 1, 2000) == 1 ? recv(fd, text + len, sizeof text - 1 - len, 0) : -1;

		if (n < 0)
			return "timeout";
		len += (size_t)n;
		text[len] = '\0';
		if (n == 0)
			return text;
	}
}

static void accepts_within_a_budget(void)
{
	int clients[CLIENTS];
	bool sound = true;

	open_listener(PROTOCOL_TCP);
	connect_all(clients, CLIENTS);
	loop_turn(&loop, false);
	ok(taken.n == ACCEPT_BUDGET, "%u of %d waiting connections in one turn", taken.n, CLIENTS);
	loop_turn(&loop, false);
	loop_turn(&loop, false);
	ok(taken.n == CLIENTS && taken.refused == 0, "the others in the next ones");
	for (unsigned i = 0; i < taken.n; i++)
		sound &= fcntl(taken.fds[i], F_GETFL) & O_NONBLOCK && fcntl(taken.fds[i], F_GETFD) & FD_CLOEXEC;
	ok(sound, "non-blocking and close-on-exec");
	ok(taken.peer.family == AF_INET && taken.peer.ip[0] == 127 && taken.peer.port > 0, "with the peer's address");
	close_all(clients, CLIENTS);
}

static void refuses_what_is_too_much(void)
{
	int clients[5];
	const char *text;

	open_listener(PROTOCOL_HTTP);
	taken.allowed = 2;
	connect_all(clients, 5);
	loop_turn(&loop, false);
	ok(taken.n == 2 && taken.refused == 3, "two are taken, three refused");
	text = reads(clients[4]);
	ok(strncmp(text, "HTTP/1.1 503 ", 13) == 0 && strstr(text, "Connection: close\r\n") && strstr(text, "\r\n\r\n"),
	   "an HTTP client reads why");
	close_all(clients, 5);

	open_listener(PROTOCOL_LENGTH);
	taken.allowed = 0;
	connect_all(clients, 1);
	loop_turn(&loop, false);
	ok(strcmp(reads(clients[0]), "") == 0, "others just the end");
	close_all(clients, 1);
}

static void closes_within_a_callback(void)
{
	int clients[3];

	open_listener(PROTOCOL_TCP);
	connect_all(clients, 3);
	taken.close_listener = true;
	loop_turn(&loop, false);
	loop_turn(&loop, false);
	ok(taken.n == 1 && !listener, "nothing is accepted once it is closed");
	close_all(clients, 3);
}

static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void on_stop(struct timer *t)
{
	(void)t;
	loop_stop(&loop);
}

static void run_for(uint64_t ms)
{
	struct timer stop;

	timer_init(&stop, on_stop);
	timer_set(&loop, &stop, ms);
	loop.stopping = false;
	loop_run(&loop);
}

static void sheds_without_descriptors(void)
{
	struct rlimit old, few;
	int clients[4];
	uint64_t turns;

	getrlimit(RLIMIT_NOFILE, &old);
	open_listener(PROTOCOL_HTTP);
	connect_all(clients, 4);
	few = (struct rlimit){ .rlim_cur = (rlim_t)lowest_fd(), .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	turns = loop.turns;
	run_for(PAUSE_MS / 2);
	ok(taken.n == 0 && taken.refused == 1, "without descriptors one client is refused in order");
	ok(strncmp(reads(clients[0]), "HTTP/1.1 503 ", 13) == 0, "and told");
	ok(loop.turns - turns < 20, "then it rests (%llu turns)", (unsigned long long)(loop.turns - turns));
	run_for(PAUSE_MS);
	ok(taken.refused == 2, "and tries again later");
	setrlimit(RLIMIT_NOFILE, &old);
	run_for(PAUSE_MS + 20);
	ok(taken.n == 2, "with descriptors it goes on");
	close_all(clients, 4);
}

/* Another thread takes the one that was freed for shedding. */
static void gets_its_spare_back(void)
{
	struct rlimit old, few;
	int clients[2];

	getrlimit(RLIMIT_NOFILE, &old);
	open_listener(PROTOCOL_HTTP);
	close(listener->spare);
	listener->spare = -1;
	connect_all(clients, 2);
	few = (struct rlimit){ .rlim_cur = (rlim_t)lowest_fd(), .rlim_max = old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	loop_turn(&loop, false);
	ok(taken.n == 0 && taken.refused == 0 && listener->watch.events == 0, "without a spare it only rests");
	setrlimit(RLIMIT_NOFILE, &old);
	run_for(PAUSE_MS + 20);
	ok(taken.n == 2 && listener->spare >= 0, "and gets one when there are some again");
	close_all(clients, 2);
}

static void leaves_nothing_open(void)
{
	int before = lowest_fd(), clients[1];

	open_listener(PROTOCOL_TCP);
	connect_all(clients, 1);
	loop_turn(&loop, false);
	close_all(clients, 1);
	ok(lowest_fd() == before, "a closed listener leaves no descriptor");
}

int main(void)
{
	loop_init(&loop);
	accepts_within_a_budget();
	refuses_what_is_too_much();
	closes_within_a_callback();
	sheds_without_descriptors();
	gets_its_spare_back();
	leaves_nothing_open();
	loop_fini(&loop);
	return tap_done();
}
