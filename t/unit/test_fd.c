/* t/unit/test_fd.c — flags, whole writes, bounded reads, limits. */
#include "sys/fd.c"

#include "tap.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

static char dir[] = "/tmp/luaserv-test-fd-XXXXXX";

static void flags(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int gone;

	ok(fd_set_nonblock(fd, true) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK), "non-blocking");
	ok(fd_set_nonblock(fd, false) == 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK), "blocking");
	ok(fd_set_cloexec(fd, false) == 0 && !(fcntl(fd, F_GETFD) & FD_CLOEXEC), "kept over exec");
	ok(fd_set_cloexec(fd, true) == 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "closed on exec");
	gone = fd;
	fd_close(&fd);
	ok(fd == -1 && fcntl(gone, F_GETFD) < 0, "closed and set to -1");
	fd_close(&fd);
	ok(fd_set_nonblock(gone, true) == -EBADF && fd_set_cloexec(gone, true) == -EBADF, "a closed one is refused");
}

enum { LONG = 1 << 20 };
static char text[LONG];

static void *write_it(void *fd)
{
	return fd_write_all(*(int *)fd, str_make(text, LONG)) == 0 ? text : NULL;
}

static void writes_all(void)
{
	int fds[2];
	pthread_t writer;
	void *wrote;
	char part[5000];
	size_t got = 0;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return;
	pthread_create(&writer, NULL, write_it, &fds[0]);
	while (got < LONG && (n = fd_read(fds[1], part, sizeof part)) > 0)
		got += (size_t)n;
	pthread_join(writer, &wrote);
	ok(wrote && got == LONG, "a megabyte through a small buffer");
	fd_close(&fds[0]);
	ok(fd_read(fds[1], part, 1) == 0 && fd_read(-1, part, 1) == -EBADF, "end and failure of a read");
	ok(fd_write_all(-1, LS_STR("x")) == -EBADF && fd_write_all(-1, LS_STR("")) == 0, "failure of a write");
	fd_close(&fds[1]);
}

static void reads_files(void)
{
	struct err err = { 0 };
	char path[64], *got = NULL;
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "%s/f", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(text, 'a', LONG);
	fd_write_all(fd, str_make(text, 100000));
	fd_close(&fd);

	n = fd_read_file(path, 100000, &got, &err);
	ok(n == 100000 && strlen(got) == 100000, "a file of just the size allowed");
	free(got);
	ok(fd_read_file(path, 99999, &got, &err) == -EFBIG && strstr(err.text, "99999"), "%s", err.text);
	ok(fd_read_file("/nonexistent", 1, &got, &err) == -ENOENT && err.code == -ENOENT, "%s", err.text);
	ok(fd_read_file(dir, 100, &got, NULL) == -EISDIR, "a directory is not a file");
	n = fd_read_file("/proc/self/status", 100000, &got, &err);
	ok(n > 0 && strlen(got) == (size_t)n, "a file that hides its size");
	free(got);
	n = fd_read_file("/dev/null", 0, &got, &err);
	ok(n == 0 && got[0] == '\0', "an empty file");
	free(got);
	unlink(path);
}

/* In a child, which may lose its descriptors. */
static void closes_from(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high = fcntl(fd, F_DUPFD_CLOEXEC, 200);
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fd_close_from(high);
		_exit(fcntl(high, F_GETFD) < 0 && fcntl(fd, F_GETFD) >= 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "those from a number up are closed, those below are not");
	fd_close(&high);
	fd_close(&fd);
}

static void raises_the_limit(void)
{
	struct rlimit before, after;
	uint64_t n;

	getrlimit(RLIMIT_NOFILE, &before);
	n = fd_raise_limit();
	getrlimit(RLIMIT_NOFILE, &after);
	ok(n == before.rlim_max && after.rlim_cur == n, "%llu files", (unsigned long long)n);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	flags();
	writes_all();
	reads_files();
	closes_from();
	raises_the_limit();
	rmdir(dir);
	return tap_done();
}
