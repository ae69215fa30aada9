/* Messages through our ring between two processes: how many a second (issue 2: at least 8 times an AF_UNIX stream).
 *
 *   cmake --build build/release --target bench_ring && build/release/bench_ring [COUNT [BYTES]]
 *
 * The parent is the master's side of a channel, its child (this program again, with the three descriptors as 3 to 5) the
 * worker's.  Each side sleeps on its bell when it has nothing to do, as reactors and workers do; the producer publishes
 * once for each batch, as they do once a turn.  Prints one line of JSON.
 */
#include "base/clock.h"
#include "ipc/chan.h"
#include "sys/bell.h"
#include "sys/sock.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RING = 512 * 1024, BATCH = 64, BYTES_MAX = 65536, FIRST_FD = 3 };

static void fail(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->text : strerror(errno));
	exit(1);
}

static void wait_for_bell(int bell)
{
	struct pollfd p = { .fd = bell, .events = POLLIN };

	poll(&p, 1, -1);
	bell_drain(bell);
}

/* The worker's side: takes everything, checks the order. */
static int consume(uint64_t count, int producer_bell)
{
	struct chan_fds fds = { FIRST_FD, FIRST_FD + 1, FIRST_FD + 2 };
	struct chan c;
	struct err err;

	if (chan_open_worker(&c, &fds, 1, RING, &err) < 0)
		fail("child", &err);
	bell_ring(producer_bell); /* up.memfd is sealed */

	struct ring_rx rx = chan_rx(&c, 0);
	_Atomic uint32_t *asleep = &chan_board(&c)->asleep;
	uint64_t seen = 0;

	while (seen < count) {
		struct frame f;
		const uint8_t *payload;
		bool wanted = false;

		while (ring_peek(&rx, &f, &payload) == 1) {
			if (f.conn != seen || payload[0] != (uint8_t)seen)
				return 3;
			seen++;
			wanted |= ring_release(&rx);
		}
		if (wanted)
			bell_ring(producer_bell);
		if (seen == count)
			break;
		atomic_store_explicit(asleep, 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		if (ring_peek(&rx, &f, &payload) == 0)
			wait_for_bell(fds.bell);
		atomic_store_explicit(asleep, 0, memory_order_relaxed);
	}
	return 0;
}

static void produce(struct chan *c, uint64_t count, uint32_t bytes, int own_bell, int peer_bell)
{
	static uint8_t payload[BYTES_MAX];
	struct ring_tx tx = chan_tx(c, 0);
	const _Atomic uint32_t *asleep = &chan_board(c)->asleep;

	for (uint64_t i = 0; i < count;) {
		struct frame f = { .len = bytes, .type = FRAME_DATA, .conn = i };
		int r;

		payload[0] = (uint8_t)i;
		r = ring_put(&tx, &f, payload);
		i += r == 0;
		if (r < 0 || i % BATCH == 0 || i == count)
			if (ring_publish(&tx) && atomic_load_explicit(asleep, memory_order_relaxed))
				bell_ring(peer_bell);
		if (r < 0)
			wait_for_bell(own_bell);
	}
}

static pid_t spawn_consumer(const char *self, const struct chan_fds *fds, int own_bell, const char *count)
{
	posix_spawn_file_actions_t actions;
	char *args[] = { (char *)self, (char *)"--consume", (char *)count, NULL };
	const int wanted[] = { fds->down, fds->up, fds->bell, own_bell };
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	/* By way of high numbers, so that none is overwritten before it has been moved. */
	for (int i = 0; i < 4; i++)
		posix_spawn_file_actions_adddup2(&actions, wanted[i], 100 + i);
	for (int i = 0; i < 4; i++)
		posix_spawn_file_actions_adddup2(&actions, 100 + i, FIRST_FD + i);
	if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, args, environ) != 0)
		fail("posix_spawn", NULL);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--consume") == 0)
		return consume(strtoull(argv[2], NULL, 10), FIRST_FD + 3);

	const char *count = argc > 1 ? argv[1] : "1000000";
	uint32_t bytes = argc > 2 ? (uint32_t)atoi(argv[2]) : 1024;
	int own_bell = bell_new();
	struct chan_fds fds;
	struct chan c;
	struct err err;
	int status;

	if (bytes < 1 || bytes > BYTES_MAX || chan_create(1, RING, &fds, &err) < 0)
		fail("channel", &err);
	if (chan_open_master(&c, &fds, 1, RING, &err) < 0)
		fail("parent", &err);

	pid_t pid = spawn_consumer(argv[0], &fds, own_bell, count);

	wait_for_bell(own_bell);
	if (chan_map_up(&c, &fds, &err) < 0)
		fail("parent", &err);

	uint64_t start = clock_ns();

	produce(&c, strtoull(count, NULL, 10), bytes, own_bell, fds.bell);
	waitpid(pid, &status, 0);

	double seconds = (double)(clock_ns() - start) / 1e9;
	struct rusage self, child;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &child);
	printf("{\"mode\":\"luaserv-ring\",\"size\":%u,\"msgs\":%s,\"msgs_per_s\":%.0f,\"cpu_s\":%.3f,\"in_order\":%s}\n",
	       bytes, count, strtod(count, NULL) / seconds,
	       (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + child.ru_utime.tv_sec + child.ru_stime.tv_sec) +
	               (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + child.ru_utime.tv_usec +
	                        child.ru_stime.tv_usec) /
	                       1e6,
	       status == 0 ? "true" : "false");
	return status != 0;
}
