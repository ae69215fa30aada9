#include "sys/bell.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int bell_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void bell_ring(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(fd, &one, sizeof one);
	while (n < 0 && errno == EINTR);
}

void bell_drain(int fd)
{
	uint64_t rings;
	ssize_t n;

	/* One read takes the whole counter. */
	do
		n = read(fd, &rings, sizeof rings);
	while (n < 0 && errno == EINTR);
}
