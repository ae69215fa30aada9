#include "sys/shm.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE_SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

static int new_memfd(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return fd < 0 ? -errno : fd;
}

static int add_seals(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

/* `r` >= 0: the descriptor; else it is closed and `r` returned. */
static int finish(int fd, int r)
{
	if (r >= 0)
		return fd;
	fd_close(&fd);
	return r;
}

int shm_create(const char *name, size_t size)
{
	int fd = new_memfd(name);
	int r;

	if (fd < 0)
		return fd;
	r = ftruncate(fd, (off_t)size) < 0 ? -errno : add_seals(fd, SIZE_SEALS);
	return finish(fd, r);
}

int shm_map(int fd, bool writable, struct shm *out)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -EINVAL;
	p = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	/* Before Linux 6.7 a segment sealed against all writing could not be mapped shared, not even for
	 * reading.  It does not change, so that a private mapping is as good. */
	if (p == MAP_FAILED && errno == EPERM && !writable)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*out = (struct shm){ .p = p, .size = (size_t)st.st_size };
	return 0;
}

void shm_unmap(struct shm *m)
{
	if (m->p)
		munmap(m->p, m->size);
	*m = (struct shm){ 0 };
}

int shm_seal_writers(int fd)
{
	return add_seals(fd, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

bool shm_is_sealed(int fd, bool writers)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (seals & SIZE_SEALS) != SIZE_SEALS)
		return false;
	return !writers || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

int shm_freeze(const char *name, struct str bytes)
{
	int fd = new_memfd(name);
	int r;

	if (fd < 0)
		return fd;
	r = fd_write_all(fd, bytes);
	if (r == 0)
		r = add_seals(fd, SIZE_SEALS | F_SEAL_WRITE | F_SEAL_SEAL);
	return finish(fd, r);
}
