#include "sys/spool.h"

#include "base/bits.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/msgqueue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "luaserv.task."

enum { RANDOM_LEN = 6, OLD_SECONDS = 60 };

/* The queue that a file's name says; -1: it is no such name. */
static int queue_of(struct str name)
{
	struct str rest = str_skip(name, sizeof PREFIX - 1), number;
	uint64_t queue;

	if (!str_starts(name, LS_STR(PREFIX)) || name.len >= SPOOL_NAME_MAX)
		return -1;
	number = str_split(&rest, '.');
	if (str_to_u64(number, &queue) < 0 || queue > INT_MAX || rest.len != RANDOM_LEN)
		return -1;
	for (size_t i = 0; i < rest.len; i++)
		if (!((rest.p[i] | 32) >= 'a' && (rest.p[i] | 32) <= 'z') && !(rest.p[i] >= '0' && rest.p[i] <= '9'))
			return -1;
	return (int)queue;
}

bool spool_is_name(struct str name)
{
	return queue_of(name) >= 0;
}

static int join(char out[PATH_MAX], const char *dir, struct str name)
{
	return snprintf(out, PATH_MAX, "%s/%.*s", dir, LS_STR_ARG(name)) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int spool_prepare(const char *dir, struct err *err)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "task_tmpdir %s cannot be made: %s", dir, strerror(errno));
	if (stat(dir, &st) < 0)
		return err_set(err, -errno, "task_tmpdir %s cannot be used: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "task_tmpdir %s is no directory", dir);
	if (access(dir, W_OK | X_OK) < 0)
		return err_set(err, -errno, "task_tmpdir %s takes no files of ours: %s", dir, strerror(errno));
	return 0;
}

int spool_write(const char *dir, int queue, struct str bytes, char name[SPOOL_NAME_MAX])
{
	char path[PATH_MAX];
	int fd, r;

	snprintf(name, SPOOL_NAME_MAX, PREFIX "%d.XXXXXX", queue);
	r = join(path, dir, str_from(name));
	if (r < 0)
		return r;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	str_copy(str_from(strrchr(path, '/') + 1), name, SPOOL_NAME_MAX);
	r = fd_write_all(fd, bytes);
	fd_close(&fd);
	if (r < 0)
		(void)unlink(path); /* why it failed is what counts */
	return r;
}

static ssize_t read_whole(int fd, size_t max, char **out)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	*out = try_alloc((size_t)st.st_size + 1);
	if (!*out)
		return -ENOMEM;
	while (len < (size_t)st.st_size && (n = fd_read(fd, *out + len, (size_t)st.st_size - len)) > 0)
		len += (size_t)n;
	if (n >= 0)
		return (ssize_t)len;
	free(*out);
	return n;
}

ssize_t spool_take(const char *dir, struct str name, size_t max, char **out)
{
	char path[PATH_MAX];
	ssize_t n = spool_is_name(name) ? join(path, dir, name) : -EINVAL;
	int fd;

	if (n < 0)
		return n;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read_whole(fd, max, out);
	fd_close(&fd);
	if (n != -EPERM)
		(void)unlink(path); /* one that stays is swept later */
	return n;
}

void spool_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (join(path, dir, str_from(name)) == 0)
		(void)unlink(path); /* one that stays is swept later */
}

static bool queue_exists(int queue)
{
	struct msgqueue_state state;
	int r = msgqueue_read_state(queue, &state);

	return r != -EINVAL && r != -EIDRM;
}

static bool is_stale(int dir, const char *name, int queue, time_t before)
{
	int of = queue_of(str_from(name));
	struct stat st;

	if (of < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != geteuid())
		return false;
	if (of == queue)
		return st.st_mtime < before;
	return st.st_mtime < time(NULL) - OLD_SECONDS && !queue_exists(of);
}

unsigned spool_sweep(const char *dir, int queue, time_t before)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	if (!d)
		return 0;
	for (struct dirent *entry; (entry = readdir(d));)
		if (is_stale(dirfd(d), entry->d_name, queue, before))
			n += unlinkat(dirfd(d), entry->d_name, 0) == 0;
	closedir(d);
	return n;
}
