#include "role/pidfile.h"

#include "base/str.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static pid_t number_in(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof text, 0);
	uint64_t pid;

	if (n <= 0 || str_to_u64(str_trim(str_take(str_make(text, (size_t)n), strcspn(text, "\n"))), &pid) < 0 ||
	    pid > INT_MAX)
		return 0;
	return (pid_t)pid;
}

int pidfile_open(const char *path, struct err *err)
{
	char text[32];
	struct stat ours, named;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);

	if (fd < 0)
		return err_set(err, -errno, "the pid file %s cannot be written: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		err_set(err, -EBUSY, "luaserv already runs with pid %d (pid file %s)", number_in(fd), path);
		fd_close(&fd);
		return -EBUSY;
	}
	/* Its last owner may have removed it between our open and our lock. */
	if (fstat(fd, &ours) < 0 || stat(path, &named) < 0 || ours.st_ino != named.st_ino) {
		fd_close(&fd);
		return err_set(err, -EBUSY, "another luaserv is just leaving the pid file %s; try again", path);
	}
	snprintf(text, sizeof text, "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || fd_write_all(fd, str_from(text)) < 0) {
		fd_close(&fd);
		return err_set(err, -EIO, "the pid file %s cannot be written", path);
	}
	return fd;
}

void pidfile_close(int fd, const char *path)
{
	if (fd < 0)
		return;
	unlink(path);
	fd_close(&fd);
}

pid_t pidfile_read(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return err_set(err, errno == ENOENT ? -ESRCH : -errno, "the pid file %s cannot be read: %s", path,
		               strerror(errno));
	pid = number_in(fd);
	/* Nobody holds the lock: what stands there is old. */
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		pid = 0;
	fd_close(&fd);
	return pid > 0 ? pid : err_set(err, -ESRCH, "no server runs with the pid file %s", path);
}
