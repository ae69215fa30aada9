/* t/unit/test_dgram.c — datagrams come in batches and leave in batches; what cannot be sent is counted and nothing waits. */
#include "net/dgram.c"

#include "tap.h"

enum { MANY = 100 };

static struct loop loop;
static struct board_reactor board;
static struct port port;
static unsigned n_seen;
static size_t seen_bytes;
static struct sock_far last_from;
static char last[SOCK_DATAGRAM_MAX];

static void on_packet(LS_UNUSED void *ctx, LS_UNUSED const struct port *p, const struct sock_far *from,
                      struct str bytes)
{
	n_seen++;
	seen_bytes += bytes.len;
	last_from = *from;
	memcpy(last, bytes.p, bytes.len);
}

static int bound(struct sock_addr *addr)
{
	const struct sock_listen_opts opts = { .datagram = true };

	sock_parse("127.0.0.1", 0, addr, NULL);
	return sock_listen(addr, &opts, NULL);
}

static struct dgram *opened(struct sock_addr *addr)
{
	struct dgram_opts o = {
		.loop = &loop, .fd = bound(addr), .port = &port, .board = &board, .on_packet = on_packet
	};

	n_seen = 0;
	seen_bytes = 0;
	return dgram_open(&o, NULL);
}

static void takes_batches(void)
{
	struct sock_addr addr, from;
	struct dgram *d = opened(&addr);
	int fd = bound(&from);

	for (int i = 0; i < MANY; i++)
		sendto(fd, &i, sizeof i, 0, &addr.sa, addr.len);
	for (int turns = 0; turns < 1000 && n_seen < MANY; turns++)
		loop_turn(&loop, false);
	ok(n_seen == MANY && seen_bytes == MANY * sizeof(int) && board_get(&board.packets) == MANY, "%u datagrams",
	   n_seen);
	ok(last_from.peer.port == ntohs(from.v4.sin_port) && *(int *)(void *)last == MANY - 1,
	   "in order, with their sender");
	dgram_stop(d);
	sendto(fd, "x", 1, 0, &addr.sa, addr.len);
	loop_turn(&loop, false);
	ok(n_seen == MANY, "a stopped one reads no more");
	dgram_close(d);
	loop_turn(&loop, false);
	close(fd);
}

static void sends_batches(void)
{
	static char large[SOCK_DATAGRAM_MAX];
	struct sock_addr addr, to;
	struct dgram *d = opened(&addr);
	int fd = bound(&to);
	struct sock_far peer = sock_far_of(&to);
	unsigned got = 0;
	bool in_order = true;
	unsigned value;

	for (unsigned i = 0; i < MANY; i++)
		dgram_send(d, &peer, str_make(&i, sizeof i));
	ok(d->n_out == MANY % BATCH, "full batches have left");
	dgram_flush(d);
	while (recv(fd, &value, sizeof value, MSG_DONTWAIT) == sizeof value)
		in_order = in_order && value == got++;
	ok(got == MANY && in_order && d->n_out == 0, "all of them, in order");
	for (int i = 0; i < 6; i++) {
		dgram_send(d, &peer, str_make(large, sizeof large));
		ok(d->out_len <= OUT_SIZE, "large ones do not pass the buffer");
		dgram_flush(d);
		ok(recv(fd, large, sizeof large, MSG_DONTWAIT) == sizeof large, "and arrive whole");
	}
	dgram_close(d);
	loop_turn(&loop, false);
	close(fd);
}

/* Whatever leaves or comes as one message: the app and the peers see each datagram by itself. */
static void runs_keep_datagrams_apart(bool segments)
{
	static const size_t lengths[] = { 10, 10, 10, 4, 10, 0, 10, 10, 2000, 2000, 7 };
	static char data[2000], got[4000];
	struct sock_addr addr, to[2];
	struct dgram *d = opened(&addr);
	int fds[2] = { bound(&to[0]), bound(&to[1]) };
	bool apart = true;
	unsigned n = 0;

	d->segments = segments;
	for (size_t i = 0; i < LS_COUNT(lengths); i++) {
		struct sock_far peer = sock_far_of(&to[i == 2]);

		memset(data, (int)('a' + i), sizeof data);
		dgram_send(d, &peer, str_make(data, lengths[i]));
	}
	dgram_flush(d);
	for (size_t i = 0; i < LS_COUNT(lengths); i++) {
		ssize_t len = recv(fds[i == 2], got, sizeof got, MSG_DONTWAIT);

		apart = apart && len == (ssize_t)lengths[i] && (len == 0 || got[len - 1] == (char)('a' + i));
		n++;
	}
	ok(apart && n == LS_COUNT(lengths), "each arrives by itself, %s", segments ? "in runs" : "one by one");
	/* From one of ours to another one, so that they come as one message. */
	struct sock_far self = sock_far_of(&addr);

	for (unsigned i = 0; i < 30; i++)
		dgram_send(d, &self, str_make(&i, sizeof i));
	dgram_send(d, &self, LS_STR("end"));
	dgram_flush(d);
	for (int turns = 0; turns < 1000 && n_seen < 31; turns++)
		loop_turn(&loop, false);
	ok(n_seen == 31 && seen_bytes == 30 * sizeof(unsigned) + 3 && memcmp(last, "end", 3) == 0,
	   "and is told by itself");
	dgram_close(d);
	loop_turn(&loop, false);
	close(fds[0]);
	close(fds[1]);
}

static void counts_what_is_lost(void)
{
	static char large[SOCK_DATAGRAM_MAX + 1];
	struct sock_addr addr;
	struct dgram *d = opened(&addr);
	struct sock_far nobody = { .peer = { .family = AF_UNIX } },
			v6 = { .peer = { .family = AF_INET6, .ip = { [15] = 1 }, .port = 9 } };
	struct sock_far self = sock_far_of(&addr);

	board_set(&board.packets_dropped, 0);
	dgram_send(d, &nobody, LS_STR("x"));
	dgram_send(d, &self, str_make(large, sizeof large));
	ok(board_get(&board.packets_dropped) == 2 && d->n_out == 0, "no such family, too long");
	dgram_send(d, &v6, LS_STR("x"));
	dgram_send(d, &self, LS_STR("y"));
	dgram_flush(d);
	ok(board_get(&board.packets_dropped) == 3, "one that the socket refuses");
	for (int turns = 0; turns < 1000 && n_seen < 1; turns++)
		loop_turn(&loop, false);
	ok(n_seen == 1 && last[0] == 'y', "takes no other one with it");
	dgram_close(d);
	loop_turn(&loop, false);
}

int main(void)
{
	loop_init(&loop);
	takes_batches();
	sends_batches();
	runs_keep_datagrams_apart(true);
	runs_keep_datagrams_apart(false);
	counts_what_is_lost();
	loop_fini(&loop);
	return tap_done();
}
