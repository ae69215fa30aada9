#include "sys/fd.h"

#include "base/bits.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { READ_STEP = 16384 };

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* `get` and `set` are the commands for file status flags or for descriptor flags. */
static int set_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return -errno;
	if (fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0)
		return -errno;
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int fd_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int fd_write_all(int fd, struct str bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.p, bytes.len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			bytes = str_skip(bytes, (size_t)n);
	}
	return 0;
}

ssize_t fd_read(int fd, void *p, size_t len)
{
	ssize_t n;

	do
		n = read(fd, p, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Reads to the end of the file, whose size may be unknown (/proc) or change meanwhile. */
static ssize_t read_to_end(int fd, size_t max, char **out)
{
	char *text = NULL;
	size_t len = 0, cap = 0;

	for (;;) {
		ssize_t n;

		if (len + 1 >= cap) {
			char *bigger;

			cap = LS_MAX(cap * 2, (size_t)READ_STEP);
			bigger = try_realloc(text, cap);
			if (!bigger) {
				free(text);
				return -ENOMEM;
			}
			text = bigger;
		}
		n = fd_read(fd, text + len, cap - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		if (n < 0 || len > max) {
			free(text);
			return n < 0 ? n : -EFBIG;
		}
		if (n == 0)
			break;
	}
	text[len] = '\0';
	*out = text;
	return (ssize_t)len;
}

ssize_t fd_read_file(const char *path, size_t max, char **out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -errno : read_to_end(fd, max, out);

	fd_close(&fd);
	if (n == -EFBIG)
		err_set(err, -EFBIG, "%s is larger than the %zu bytes allowed", path, max);
	else if (n < 0)
		err_set(err, (int)n, "cannot read %s: %s", path, strerror((int)-n));
	return n;
}

void fd_close_from(int first)
{
	closefrom(first);
}

uint64_t fd_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;

	struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };

	return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}
