#include "ipc/segment.h"

#include "base/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { CLAIM_TRIES = 1000 };

/* The byte of `member`, locked or asked about. */
static int member_lock(const struct segment *s, int command, uint32_t member, struct flock *lock)
{
	*lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)member, .l_len = 1 };
	return fcntl(s->fd, command, lock) < 0 ? -errno : 0;
}

/* Somebody may have written nonsense into the counter; then a number is taken, and the next one is tried. */
static int claim_number(struct segment *s)
{
	struct segment_head *head = s->map.p;
	struct flock lock;
	int r = -EBUSY;

	for (int i = 0; i < CLAIM_TRIES && r < 0; i++) {
		uint32_t n = atomic_fetch_add_explicit(&head->last_member, 1, memory_order_relaxed) + 1;

		s->self = n & SEGMENT_MEMBER_MAX;
		if (s->self)
			r = member_lock(s, F_OFD_SETLK, s->self, &lock);
		if (r < 0 && r != -EAGAIN && r != -EACCES && r != -EBUSY)
			return r;
	}
	return r;
}

static uint64_t agree_on_seed(struct segment_head *head)
{
	uint64_t none = 0, mine;

	if (getrandom(&mine, sizeof mine, GRND_NONBLOCK) != sizeof mine || mine == 0)
		mine = clock_ns() | 1;
	return atomic_compare_exchange_strong(&head->seed, &none, mine) ? mine : none;
}

/* Another open file description of the same memory: locks belong to it. */
static int open_again(int fd)
{
	char path[64];
	int again;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

int segment_open(struct segment *s, int fd, size_t bytes)
{
	int r;

	*s = (struct segment){ .fd = -1 };
	if (!shm_is_sealed(fd, false))
		return -EPERM;
	r = open_again(fd);
	if (r < 0)
		return r;
	s->fd = r;
	r = shm_map(s->fd, true, &s->map);
	if (r == 0 && s->map.size < bytes)
		r = -EINVAL;
	if (r == 0)
		r = claim_number(s);
	if (r < 0)
		segment_close(s);
	else
		s->seed = agree_on_seed(s->map.p);
	return r;
}

int segment_private(struct segment *s, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*s = (struct segment){ .map = { p, bytes }, .fd = -1, .self = 1 };
	s->seed = agree_on_seed(p);
	return 0;
}

void segment_close(struct segment *s)
{
	shm_unmap(&s->map);
	fd_close(&s->fd);
	s->self = 0;
}

bool segment_lives(const struct segment *s, uint32_t member)
{
	struct flock lock;

	if (member == s->self)
		return true;
	if (s->fd < 0 || member == 0 || member > SEGMENT_MEMBER_MAX)
		return false;
	/* Where the kernel does not say, nobody's lock is broken. */
	return member_lock(s, F_OFD_GETLK, member, &lock) < 0 || lock.l_type != F_UNLCK;
}
