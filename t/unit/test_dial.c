/* t/unit/test_dial.c — connecting: addresses in turn, refusals with a reason, time-outs, and a dial that is given up. */
#include "net/dial.c"

#include "tap.h"

#include <sys/socket.h>
#include <unistd.h>

static struct loop loop;
static unsigned calls;
static int got;
static struct err said;

static void on_done(LS_UNUSED void *ctx, int fd, const struct err *err)
{
	calls++;
	got = fd;
	if (err)
		said = *err;
}

static struct dial *begin(const char *host, uint16_t port, int family, int type, uint64_t timeout_ms)
{
	struct dial_opts o = {
		.loop = &loop,
		.host = host,
		.port = port,
		.family = family,
		.type = type,
		.timeout_ms = timeout_ms,
		.on_done = on_done,
	};

	calls = 0;
	got = -2;
	said = (struct err){ 0 };
	return dial_start(&o, &said);
}

/* As the worker's scheduler: what timers woke is run before the loop sleeps. */
static bool has_work(LS_UNUSED void *ctx)
{
	return calls > 0;
}

static struct loop_hook hook = { .before_sleep = has_work };

static void wait_for_it(void)
{
	while (calls == 0)
		loop_turn(&loop, true);
}

static int listening(struct sock_addr *addr, const char *host, int backlog)
{
	struct sock_listen_opts opts = { .backlog = backlog };

	sock_parse(host, 0, addr, NULL);
	return sock_listen(addr, &opts, NULL);
}

static bool is_nonblocking_to(int fd, uint16_t port)
{
	struct sock_addr peer = { .len = sizeof peer.storage };
	char byte;

	return getpeername(fd, &peer.sa, &peer.len) == 0 && sock_peer_of(&peer).port == port &&
	       recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN;
}

static void connects(void)
{
	struct sock_addr addr;
	int listener = listening(&addr, "127.0.0.1", 10);
	uint16_t port = ntohs(addr.v4.sin_port);

	ok(begin("127.0.0.1", port, AF_UNSPEC, SOCK_STREAM, 5000) && calls == 0, "nothing is told at once");
	wait_for_it();
	ok(got >= 0 && is_nonblocking_to(got, port), "an address");
	close(got);
	begin("localhost", port, AF_UNSPEC, SOCK_STREAM, 5000);
	wait_for_it();
	ok(got >= 0 && is_nonblocking_to(got, port), "a name, one of whose addresses answers");
	close(got);
	close(listener);
}

/* As if the name had these addresses. */
static struct dial *begin_with(const char *first, const char *second, uint16_t port, uint64_t timeout_ms)
{
	struct dial *d = begin("localhost", port, AF_UNSPEC, SOCK_STREAM, timeout_ms);
	struct sock_addr addrs[2];

	lookup_cancel(d->lookup);
	sock_parse(first, 0, &addrs[0], NULL);
	sock_parse(second, 0, &addrs[1], NULL);
	on_resolved(d, addrs, 2, NULL);
	return d;
}

static void addresses_in_turn(void)
{
	struct sock_addr addr, full;
	int listener = listening(&addr, "127.0.0.1", 10);
	uint16_t port = ntohs(addr.v4.sin_port);
	char wanted[100];
	int taken[8];

	begin_with("127.0.0.2", "127.0.0.1", port, 5000);
	wait_for_it();
	ok(got >= 0 && is_nonblocking_to(got, port), "the second address, when the first one refuses");
	close(got);
	begin_with("127.0.0.2", "127.0.0.3", port, 5000);
	wait_for_it();
	snprintf(wanted, sizeof wanted,
	         "cannot connect to localhost:%u: 127.0.0.3:%u, the last of 2 addresses: Connection refused", port,
	         port);
	ok(strcmp(said.text, wanted) == 0, "when both do: %s", said.text);

	struct sock_listen_opts opts = { .backlog = 0 };

	sock_parse("127.0.0.2", port, &full, NULL);

	int silent = sock_listen(&full, &opts, NULL);

	for (unsigned i = 0; i < LS_COUNT(taken); i++) {
		taken[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(taken[i], &full.sa, full.len);
	}
	begin_with("127.0.0.2", "127.0.0.1", port, 200);
	wait_for_it();
	ok(got >= 0 && is_nonblocking_to(got, port), "an address that never answers leaves time for the next");
	close(got);
	for (unsigned i = 0; i < LS_COUNT(taken); i++)
		close(taken[i]);
	close(silent);
	close(listener);
}

static void refusals(void)
{
	struct sock_addr addr;
	int fd = listening(&addr, "127.0.0.1", 10);
	uint16_t port = ntohs(addr.v4.sin_port);
	char wanted[100];

	close(fd);
	begin("127.0.0.1", port, AF_UNSPEC, SOCK_STREAM, 5000);
	ok(calls == 0, "a refusal is not told at once either");
	wait_for_it();
	snprintf(wanted, sizeof wanted, "cannot connect to 127.0.0.1:%u: Connection refused", port);
	ok(got == -1 && said.code == -ECONNREFUSED && strcmp(said.text, wanted) == 0, "refused: %s", said.text);
	begin("localhost", port, AF_UNSPEC, SOCK_STREAM, 5000);
	wait_for_it();
	snprintf(wanted, sizeof wanted, "cannot connect to localhost:%u: ", port);
	ok(strncmp(said.text, wanted, strlen(wanted)) == 0 && said.code == -ECONNREFUSED, "all addresses refused: %s",
	   said.text);
	begin("256.1.1.1.", 1, AF_UNSPEC, SOCK_STREAM, 5000);
	wait_for_it();
	ok(said.code == -DIAL_UNRESOLVED && strstr(said.text, "256.1.1.1.:1: the name cannot be resolved"),
	   "no such name: %s", said.text);
	begin("/nowhere/at/all", 0, AF_UNIX, SOCK_STREAM, 5000);
	wait_for_it();
	ok(said.code == -ENOENT &&
	           strcmp(said.text, "cannot connect to unix:/nowhere/at/all: No such file or directory") == 0,
	   "no such path: %s", said.text);
}

static void nonsense(void)
{
	ok(!begin("relative", 0, AF_UNIX, SOCK_STREAM, 0) && strstr(said.text, "begins with /"), "%s", said.text);
	ok(!begin("/path", 1, AF_UNSPEC, SOCK_STREAM, 0) && said.code == -EINVAL, "%s", said.text);
	ok(!begin("", 1, AF_UNSPEC, SOCK_STREAM, 0) && said.code == -EINVAL, "%s", said.text);
	ok(!begin("*", 1, AF_UNSPEC, SOCK_STREAM, 0) && said.code == -EINVAL, "%s", said.text);
	ok(!begin("127.0.0.1", 1, AF_INET6, SOCK_STREAM, 0) && strstr(said.text, "not an IPv6 address"), "%s",
	   said.text);

	char host[300];

	memset(host, 'h', sizeof host - 1);
	host[sizeof host - 1] = '\0';
	ok(!begin(host, 1, AF_UNSPEC, SOCK_STREAM, 0) && said.code == -EINVAL, "%s", said.text);
}

/* A listener whose backlog is full answers nobody. */
static void time_outs(void)
{
	struct sock_addr addr;
	int listener = listening(&addr, "127.0.0.1", 0);
	uint16_t port = ntohs(addr.v4.sin_port);
	int taken[8];
	uint64_t before;

	for (unsigned i = 0; i < LS_COUNT(taken); i++) {
		taken[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(taken[i], &addr.sa, addr.len);
	}
	loop_turn(&loop, false);
	before = loop_now(&loop);
	begin("127.0.0.1", port, AF_UNSPEC, SOCK_STREAM, 50);
	wait_for_it();
	ok(said.code == -ETIMEDOUT && loop_now(&loop) - before >= 50, "no answer: %s", said.text);
	dial_cancel(begin("127.0.0.1", port, AF_UNSPEC, SOCK_STREAM, 50));
	dial_cancel(begin("localhost", port, AF_UNSPEC, SOCK_STREAM, 50));
	dial_cancel(NULL);
	while (loop_now(&loop) - before < 200)
		loop_turn(&loop, false);
	ok(calls == 0, "what was given up tells nobody");
	for (unsigned i = 0; i < LS_COUNT(taken); i++)
		close(taken[i]);
	close(listener);
}

/* With a full backlog connect() to a path gives EAGAIN, and nothing tells when there is room. */
static void crowded_paths(void)
{
	char path[64];
	struct sock_addr addr;
	int fds[4];

	snprintf(path, sizeof path, "/tmp/test_dial.%d", getpid());

	int listener = listening(&addr, path, 0);

	for (unsigned i = 0; i < LS_COUNT(fds); i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fds[i], &addr.sa, addr.len);
	}
	begin(path, 0, AF_UNIX, SOCK_STREAM, 30);
	wait_for_it();
	ok(said.code == -EAGAIN, "crowded until the end: %s", said.text);
	begin(path, 0, AF_UNIX, SOCK_STREAM, 5000);
	for (int i = 0; i < 10; i++)
		loop_turn(&loop, false);
	ok(calls == 0, "it waits");
	for (int accepted; (accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 && calls == 0;) {
		close(accepted);
		loop_turn(&loop, true);
	}
	wait_for_it();
	ok(got >= 0, "until there is room");
	close(got);
	for (unsigned i = 0; i < LS_COUNT(fds); i++)
		close(fds[i]);
	close(listener);
	unlink(path);
}

static void datagrams(void)
{
	struct sock_listen_opts opts = { .datagram = true };
	struct sock_addr addr, ours = { .len = sizeof ours.storage };
	int fd;

	sock_parse("127.0.0.1", 0, &addr, NULL);
	fd = sock_listen(&addr, &opts, NULL);
	begin("127.0.0.1", ntohs(addr.v4.sin_port), AF_UNSPEC, SOCK_DGRAM, 100);
	wait_for_it();
	ok(got >= 0 && send(got, "x", 1, 0) == 1, "UDP");
	close(got);
	close(fd);

	char path[64];

	snprintf(path, sizeof path, "/tmp/test_dial.%d", getpid());
	sock_parse(path, 0, &addr, NULL);
	fd = sock_listen(&addr, &opts, NULL);
	begin(path, 0, AF_UNIX, SOCK_DGRAM, 100);
	wait_for_it();
	ok(got >= 0 && getsockname(got, &ours.sa, &ours.len) == 0 && ours.len > 2,
	   "of a path: with an address of its own");
	close(got);
	close(fd);
	unlink(path);
}

int main(void)
{
	loop_init(&loop);
	loop_add_hook(&loop, &hook);
	connects();
	addresses_in_turn();
	refusals();
	nonsense();
	time_outs();
	crowded_paths();
	datagrams();
	loop_del_hook(&loop, &hook);
	loop_fini(&loop);
	return tap_done();
}
