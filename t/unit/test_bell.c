/* t/unit/test_bell.c — a bell wakes who polls it, takes any number of rings, and never blocks. */
#include "sys/bell.c"

#include "tap.h"

#include <fcntl.h>
#include <poll.h>

static bool rings(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

int main(void)
{
	uint64_t nearly_full = UINT64_MAX - 1;
	int fd = bell_new();

	ok(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "a new bell");
	ok(!rings(fd), "is silent");
	bell_drain(fd);
	bell_ring(fd);
	bell_ring(fd);
	ok(rings(fd), "rings");
	bell_drain(fd);
	ok(!rings(fd), "and is silent after one drain of two rings");
	ok(write(fd, &nearly_full, sizeof nearly_full) == sizeof nearly_full, "a full counter");
	bell_ring(fd);
	ok(rings(fd), "does not block who rings");
	bell_drain(fd);
	ok(!rings(fd), "and is drained like any other");
	close(fd);
	return tap_done();
}
