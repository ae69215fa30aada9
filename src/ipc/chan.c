#include "ipc/chan.h"

#include "base/bits.h"
#include "sys/bell.h"
#include "sys/fd.h"

#include <errno.h>
#include <unistd.h>

/* down: heads of the ways down and tails of the ways up, one page of words for all reactors, then the data of each.
 * up: the worker's board, then the same words and data the other way round.  Data begins on a page, so that rings never
 * used take no memory. */

enum { PAGE = 4096 };

struct chan_words {
	struct ring_head head; /* of the ring this side writes */
	struct ring_tail tail; /* of the ring this side reads */
};

static size_t words_at(bool up)
{
	return up ? align_up(sizeof(struct board_worker), 64) : 0;
}

static size_t data_at(bool up, unsigned reactors)
{
	return align_up(words_at(up) + reactors * sizeof(struct chan_words), PAGE);
}

static size_t segment_size(bool up, unsigned reactors, uint32_t ring_size)
{
	return LS_MAX(data_at(up, reactors) + (size_t)reactors * ring_size, (size_t)PAGE);
}

int chan_create(unsigned reactors, uint32_t ring_size, struct chan_fds *out, struct err *err)
{
	struct chan_fds fds = { -1, -1, -1 };

	fds.down = shm_create("luaserv-down", segment_size(false, reactors, ring_size));
	fds.up = shm_create("luaserv-up", segment_size(true, reactors, ring_size));
	fds.bell = bell_new();
	if (fds.down < 0 || fds.up < 0 || fds.bell < 0) {
		int code = LS_MIN(fds.down, LS_MIN(fds.up, fds.bell));

		chan_fds_close(&fds);
		return err_set(err, code, "the shared memory of a worker (%u rings of %u bytes) cannot be made: %s",
		               2 * reactors, ring_size, strerror(-code));
	}
	*out = fds;
	return 0;
}

void chan_fds_close(struct chan_fds *fds)
{
	fd_close(&fds->down);
	fd_close(&fds->up);
	fd_close(&fds->bell);
}

static int map_checked(int fd, bool writable, size_t size, struct shm *out, struct err *err)
{
	int r = shm_map(fd, writable, out);

	if (r < 0)
		return err_set(err, r, "shared memory cannot be mapped: %s", strerror(-r));
	if (out->size != size || !shm_is_sealed(fd, false)) {
		shm_unmap(out);
		return err_set(err, -EPERM, "shared memory has the wrong size or is not sealed");
	}
	return 0;
}

static int map_own(int fd, size_t size, struct shm *out, struct err *err)
{
	int r = map_checked(fd, true, size, out, err);

	if (r < 0)
		return r;
	r = shm_seal_writers(fd);
	if (r < 0) {
		shm_unmap(out);
		return err_set(err, r, "shared memory cannot be sealed: %s", strerror(-r));
	}
	return 0;
}

static void chan_init(struct chan *c, const struct chan_fds *fds, unsigned reactors, uint32_t ring_size,
                      bool worker_side)
{
	*c = (struct chan){
		.reactors = reactors, .ring_size = ring_size, .worker_side = worker_side, .bell = fds->bell
	};
}

int chan_open_master(struct chan *c, const struct chan_fds *fds, unsigned reactors, uint32_t ring_size, struct err *err)
{
	chan_init(c, fds, reactors, ring_size, false);
	return map_own(fds->down, segment_size(false, reactors, ring_size), &c->down, err);
}

int chan_map_up(struct chan *c, const struct chan_fds *fds, struct err *err)
{
	if (!shm_is_sealed(fds->up, true))
		return err_set(err, -EPERM, "the worker has not sealed its shared memory");
	return map_checked(fds->up, false, segment_size(true, c->reactors, c->ring_size), &c->up, err);
}

int chan_open_worker(struct chan *c, const struct chan_fds *fds, unsigned reactors, uint32_t ring_size, struct err *err)
{
	chan_init(c, fds, reactors, ring_size, true);

	int r = map_own(fds->up, segment_size(true, reactors, ring_size), &c->up, err);

	if (r < 0)
		return r;
	r = map_checked(fds->down, false, segment_size(false, reactors, ring_size), &c->down, err);
	if (r < 0)
		shm_unmap(&c->up);
	return r;
}

int chan_open_board(struct chan *c, int up_fd, struct err *err)
{
	*c = (struct chan){ .bell = -1 };

	int r = shm_map(up_fd, false, &c->up);

	if (r < 0)
		return err_set(err, r, "a worker's counters cannot be mapped: %s", strerror(-r));
	if (c->up.size < sizeof(struct board_worker)) {
		shm_unmap(&c->up);
		return err_set(err, -EPERM, "a worker's counters are cut short");
	}
	return 0;
}

void chan_close(struct chan *c)
{
	shm_unmap(&c->down);
	shm_unmap(&c->up);
}

struct board_worker *chan_board(const struct chan *c)
{
	return c->up.p;
}

static struct chan_words *words_of(const struct chan *c, bool up, unsigned reactor)
{
	char *base = up ? c->up.p : c->down.p;

	return (struct chan_words *)(void *)(base + words_at(up)) + reactor;
}

static uint8_t *data_of(const struct chan *c, bool up, unsigned reactor)
{
	char *base = up ? c->up.p : c->down.p;

	return (uint8_t *)base + data_at(up, c->reactors) + (size_t)reactor * c->ring_size;
}

struct ring_tx chan_tx(const struct chan *c, unsigned reactor)
{
	bool mine = c->worker_side;

	return (struct ring_tx){
		.own = &words_of(c, mine, reactor)->head,
		.peer = &words_of(c, !mine, reactor)->tail,
		.data = data_of(c, mine, reactor),
		.cap = c->ring_size,
	};
}

struct ring_rx chan_rx(const struct chan *c, unsigned reactor)
{
	bool mine = c->worker_side;

	return (struct ring_rx){
		.own = &words_of(c, mine, reactor)->tail,
		.peer = &words_of(c, !mine, reactor)->head,
		.data = data_of(c, !mine, reactor),
		.cap = c->ring_size,
	};
}

int chan_shared_create(unsigned reactors)
{
	return shm_create("luaserv-shared", align_up(LS_MAX(reactors, 1u) * sizeof(struct board_reactor), PAGE));
}

int chan_shared_map(int fd, bool master, struct shm *out)
{
	int r = shm_map(fd, master, out);

	if (r == 0 && master)
		r = shm_seal_writers(fd);
	return r;
}

struct board_reactor *chan_shared_board(const struct shm *m, unsigned r)
{
	return (struct board_reactor *)m->p + r;
}
