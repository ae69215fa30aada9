/* t/unit/test_chan.c — the segments of one worker process: who may write what, and that nothing overlaps. */
#include "ipc/chan.c"

#include "tap.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { RING = 65536 };

struct pair {
	struct chan_fds fds;
	struct chan master, worker;
};

static bool open_pair(struct pair *p, unsigned reactors)
{
	struct err err = { 0 };

	return chan_create(reactors, RING, &p->fds, &err) == 0 &&
	       chan_open_master(&p->master, &p->fds, reactors, RING, &err) == 0 &&
	       chan_open_worker(&p->worker, &p->fds, reactors, RING, &err) == 0 &&
	       chan_map_up(&p->master, &p->fds, &err) == 0;
}

static void close_pair(struct pair *p)
{
	chan_close(&p->master);
	chan_close(&p->worker);
	chan_fds_close(&p->fds);
}

/* One frame over the ring that `tx` writes and `rx` reads, with a number nobody else uses. */
static bool carries(struct ring_tx tx, struct ring_rx rx, uint64_t number)
{
	struct frame f = { .type = FRAME_DATA, .len = sizeof number, .conn = number }, got;
	const uint8_t *payload;

	if (ring_put(&tx, &f, &number) < 0 || !ring_publish(&tx) || ring_peek(&rx, &got, &payload) != 1)
		return false;
	return got.conn == number && memcmp(payload, &number, sizeof number) == 0;
}

static void carries_frames_both_ways(void)
{
	for (unsigned reactors = 1; reactors <= 5; reactors += 2) {
		struct pair p;
		bool held = open_pair(&p, reactors);

		for (unsigned r = 0; held && r < reactors; r++) {
			held &= carries(chan_tx(&p.master, r), chan_rx(&p.worker, r), 100 + r);
			held &= carries(chan_tx(&p.worker, r), chan_rx(&p.master, r), 200 + r);
		}
		ok(held, "%u reactors: every ring carries its own frames", reactors);
		close_pair(&p);
	}
}

static bool lies_in(const struct shm *m, const void *p, size_t len)
{
	const char *at = p, *base = m->p;

	return at >= base && at + len <= base + m->size;
}

/* Words and data of each ring are written full; the others must keep what they hold. */
static void keeps_rings_apart(void)
{
	enum { REACTORS = 4 };
	struct pair p;
	bool inside = open_pair(&p, REACTORS), apart = true, aligned = true;

	memset(chan_board(&p.worker), 0x77, sizeof(struct board_worker));
	for (unsigned r = 0; r < REACTORS; r++) {
		struct ring_tx tx = chan_tx(&p.worker, r);
		struct ring_rx rx = chan_rx(&p.worker, r);

		inside &= lies_in(&p.worker.up, tx.own, sizeof *tx.own) && lies_in(&p.worker.up, tx.data, RING);
		inside &= lies_in(&p.worker.up, rx.own, sizeof *rx.own) && lies_in(&p.worker.down, rx.data, RING);
		inside &= lies_in(&p.worker.down, rx.peer, sizeof *rx.peer);
		aligned &= (uintptr_t)tx.data % 4096 == 0 && (uintptr_t)tx.own % 64 == 0 && (uintptr_t)rx.own % 64 == 0;
		memset(tx.data, (int)r + 1, RING);
		memset(tx.own, (int)r + 0x11, sizeof *tx.own);
		memset(rx.own, (int)r + 0x21, sizeof *rx.own);
	}
	for (unsigned r = 0; r < REACTORS; r++) {
		struct ring_tx tx = chan_tx(&p.worker, r);
		struct ring_rx rx = chan_rx(&p.worker, r);

		apart &= tx.data[0] == r + 1 && tx.data[RING - 1] == r + 1;
		apart &= *(uint8_t *)tx.own == r + 0x11 && *(uint8_t *)rx.own == r + 0x21;
	}
	apart &= *(uint8_t *)chan_board(&p.worker) == 0x77;
	ok(inside, "words and data lie in their segment");
	ok(aligned, "data begins on a page, words on a cache line");
	ok(apart, "nothing overlaps");
	close_pair(&p);
}

static bool is_closed_to_writers(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p != MAP_FAILED) {
		munmap(p, size);
		return false;
	}
	return write(fd, "x", 1) < 0 && ftruncate(fd, 0) < 0 && ftruncate(fd, (off_t)size * 2) < 0;
}

static void seals_each_side(void)
{
	struct pair p;
	struct err err = { 0 };

	ok(chan_create(2, RING, &p.fds, &err) == 0, "the descriptors are made");
	ok(chan_open_master(&p.master, &p.fds, 2, RING, &err) == 0, "the master maps its side");
	ok(chan_map_up(&p.master, &p.fds, &err) == -EPERM && strstr(err.text, "sealed"),
	   "a worker that has not sealed its side is refused: %s", err.text);
	ok(is_closed_to_writers(p.fds.down, p.master.down.size), "nobody else can write the master's side");
	ok(chan_open_worker(&p.worker, &p.fds, 2, RING, &err) == 0, "the worker maps its side");
	ok(is_closed_to_writers(p.fds.up, p.worker.up.size), "nobody else can write the worker's side");
	ok(mprotect(p.worker.down.p, p.worker.down.size, PROT_READ | PROT_WRITE) < 0,
	   "a mapping does not become writable");
	ok(chan_map_up(&p.master, &p.fds, &err) == 0, "then the master maps it");
	close_pair(&p);
	ok(p.fds.down == -1 && p.fds.up == -1 && p.fds.bell == -1, "closed descriptors are forgotten");
}

static void refuses_other_sizes(void)
{
	struct chan_fds fds;
	struct chan c;
	struct err err = { 0 };

	chan_create(2, RING, &fds, &err);
	ok(chan_open_worker(&c, &fds, 3, RING, &err) == -EPERM,
	   "a number of reactors that is not that of the segments");
	ok(chan_open_worker(&c, &fds, 2, 2 * RING, &err) == -EPERM, "nor a ring size");
	ok(chan_open_master(&c, &fds, 1, RING, &err) == -EPERM, "nor at the master");
	chan_fds_close(&fds);

	fds.up = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds.down = shm_create("down", 4096);
	ok(ftruncate(fds.up, 4096) == 0 && chan_open_worker(&c, &fds, 0, RING, &err) == -EPERM,
	   "nor a segment that could shrink");
	fds.bell = -1;
	chan_fds_close(&fds);
}

static void shows_the_board(void)
{
	struct pair p;
	struct chan manager;
	struct err err = { 0 };
	int small = shm_create("small", 64);

	ok(open_pair(&p, 0), "base mode has no rings");
	board_set(&chan_board(&p.worker)->requests, 42);
	ok(chan_open_board(&manager, p.fds.up, &err) == 0 && board_get(&chan_board(&manager)->requests) == 42,
	   "the manager sees the worker's counters");
	chan_close(&manager);
	ok(chan_open_board(&manager, small, &err) == -EPERM, "a board that is cut short is refused");
	close(small);
	close_pair(&p);
}

static void shares_the_reactors_boards(void)
{
	struct shm master = { 0 }, worker = { 0 };
	int fd = chan_shared_create(100);

	ok(chan_shared_map(fd, true, &master) == 0 && chan_shared_map(fd, false, &worker) == 0, "both map the boards");
	atomic_store(&chan_shared_board(&master, 99)->asleep, 7);
	ok(atomic_load(&chan_shared_board(&worker, 99)->asleep) == 7, "what one reactor writes all see");
	ok(lies_in(&worker, chan_shared_board(&worker, 99), sizeof(struct board_reactor)), "the last is inside");
	ok(is_closed_to_writers(fd, master.size), "nobody else can write them");
	shm_unmap(&master);
	shm_unmap(&worker);
	close(fd);
}

/* The lowest free descriptor tells whether something was left open. */
static int lowest_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void leaves_nothing_when_descriptors_run_out(void)
{
	struct rlimit old, few;
	struct chan_fds fds = { 1, 2, 3 };
	struct err err = { 0 };
	bool held = true;
	int before = lowest_fd();

	getrlimit(RLIMIT_NOFILE, &old);
	for (int more = 0; more < 3; more++) {
		few = (struct rlimit){ .rlim_cur = (rlim_t)(before + more), .rlim_max = old.rlim_max };
		setrlimit(RLIMIT_NOFILE, &few);
		held &= chan_create(1, RING, &fds, &err) == -EMFILE && fds.down == 1;
		setrlimit(RLIMIT_NOFILE, &old);
		held &= lowest_fd() == before;
	}
	ok(held, "without descriptors it fails whole: %s", err.text);
}

int main(void)
{
	carries_frames_both_ways();
	keeps_rings_apart();
	seals_each_side();
	refuses_other_sizes();
	shows_the_board();
	shares_the_reactors_boards();
	leaves_nothing_when_descriptors_run_out();
	return tap_done();
}
