/* t/unit/test_segment.c — members have numbers of their own, and the death of one is seen; hostile counters do no harm. */
#include "ipc/segment.c"

#include "shared_stub.h"
#include "tap.h"

enum { BYTES = 4096 };

struct report {
	int fd;
	int pipe[2];
};

static void join_and_wait(void *ctx)
{
	struct report *r = ctx;
	struct segment s;

	if (segment_open(&s, r->fd, BYTES) == 0 && write(r->pipe[1], &s.self, sizeof s.self) > 0)
		pause();
}

int main(void)
{
	struct report r = { .fd = shm_create("test", BYTES) };
	struct segment a, b, alone;
	uint32_t other = 0;
	pid_t pid;

	ok(segment_open(&a, r.fd, BYTES) == 0 && segment_open(&b, r.fd, BYTES) == 0, "opened twice");
	ok(a.self && b.self && a.self != b.self, "two members");
	ok(segment_lives(&a, b.self) && segment_lives(&b, a.self) && segment_lives(&a, a.self), "both live");
	ok(!segment_lives(&a, 0) && !segment_lives(&a, 77) && !segment_lives(&a, UINT32_MAX), "nobody else does");

	ok(pipe(r.pipe) == 0, "pipe");
	pid = start_child(join_and_wait, &r);
	ok(read(r.pipe[0], &other, sizeof other) == sizeof other && segment_lives(&a, other), "a child joins");
	kill_child(pid);
	ok(!segment_lives(&a, other), "and is seen to be dead");

	other = b.self;
	segment_close(&b);
	ok(!segment_lives(&a, other), "one that closed is no member any more");
	((struct segment_head *)a.map.p)->last_member = a.self - 1;
	ok(segment_open(&b, r.fd, BYTES) == 0 && b.self != a.self, "a counter set back gives no number twice");
	((struct segment_head *)a.map.p)->last_member = UINT32_MAX;
	segment_close(&b);
	ok(segment_open(&b, r.fd, BYTES) == 0 && b.self != 0 && b.self != a.self, "nor one that wraps");

	ok(segment_open(&alone, r.fd, 2 * BYTES) == -EINVAL && alone.fd == -1, "too small a memory is refused");
	ok(segment_private(&alone, BYTES) == 0 && segment_lives(&alone, alone.self) && !segment_lives(&alone, 2),
	   "private memory has one member");
	segment_close(&alone);
	segment_close(&a);
	segment_close(&b);
	fd_close(&r.fd);
	return tap_done();
}
