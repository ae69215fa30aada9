/* t/unit/test_shm.c — segments keep their size; a sealed one changes only through the mapping its writer has. */
#include "sys/shm.c"

#include "tap.h"

static void segments_keep_their_size(void)
{
	struct shm m;
	int fd = shm_create("test", 10000);

	ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "a segment");
	ok(shm_is_sealed(fd, false) && !shm_is_sealed(fd, true), "has its size sealed, its bytes not");
	ok(ftruncate(fd, 1) < 0 && ftruncate(fd, 100000) < 0, "and neither shrinks nor grows");
	ok(shm_map(fd, true, &m) == 0 && m.size == 10000, "it is mapped whole");
	ok(((char *)m.p)[0] == 0 && ((char *)m.p)[9999] == 0, "and zero");
	shm_unmap(&m);
	shm_unmap(&m);
	ok(!m.p && !m.size, "unmapping twice does no harm");
	fd_close(&fd);
}

static void one_writer(void)
{
	struct shm writer, reader, other;
	int fd = shm_create("test", 4096);

	shm_map(fd, true, &writer);
	ok(shm_seal_writers(fd) == 0 && shm_is_sealed(fd, true), "the writer seals it after mapping");
	ok(shm_map(fd, false, &reader) == 0, "a reader maps it");
	((volatile char *)writer.p)[5] = 7;
	ok(((volatile char *)reader.p)[5] == 7, "and sees what is written later");
	ok(shm_map(fd, true, &other) == -EPERM, "nobody else maps it for writing");
	ok(mprotect(reader.p, reader.size, PROT_READ | PROT_WRITE) < 0, "nor turns a mapping into a writable one");
	ok(pwrite(fd, "x", 1, 0) < 0, "nor writes to the descriptor");
	ok(shm_seal_writers(fd) == -EPERM, "the seals are final");
	shm_unmap(&writer);
	shm_unmap(&reader);
	fd_close(&fd);
}

static void frozen_bytes(void)
{
	struct shm m;
	int fd = shm_freeze("test", LS_STR("settings"));

	ok(fd >= 0 && shm_is_sealed(fd, true), "bytes are frozen");
	ok(shm_map(fd, false, &m) == 0 && m.size == 8 && memcmp(m.p, "settings", 8) == 0, "and read");
	shm_unmap(&m);
	ok(shm_map(fd, true, &m) < 0 && pwrite(fd, "x", 1, 0) < 0, "but never written");
	fd_close(&fd);
}

static void refusals(void)
{
	struct shm m = { 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int empty = shm_freeze("test", LS_STR(""));

	ok(!shm_is_sealed(null, false), "what is not a segment is not sealed");
	ok(shm_map(null, false, &m) == -EINVAL && shm_map(empty, false, &m) == -EINVAL && !m.p,
	   "nothing is not mapped");
	ok(shm_map(-1, false, &m) == -EBADF, "nor is a bad descriptor");
	fd_close(&null);
	fd_close(&empty);
}

int main(void)
{
	segments_keep_their_size();
	one_writer();
	frozen_bytes();
	refusals();
	return tap_done();
}
