/* t/unit/test_spool.c — data in files: written, taken once, swept when nobody will take it; nothing else is touched. */
#include "sys/spool.c"

#include "tap.h"

#include <sys/ipc.h>

static char dir[] = "/tmp/test_spool.XXXXXX";
static char name[SPOOL_NAME_MAX];

static char *path_of(const char *file)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", dir, file);
	return path;
}

static bool exists(const char *file)
{
	struct stat st;

	return lstat(path_of(file), &st) == 0;
}

static void make_old(const char *file, time_t seconds)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) - seconds }, { .tv_sec = time(NULL) - seconds } };

	utimensat(AT_FDCWD, path_of(file), times, 0);
}

static void there_and_back(void)
{
	char *out = NULL;

	ok(spool_write(dir, 5, LS_STR("large"), name) == 0 && spool_is_name(str_from(name)) && exists(name),
	   "a file: %s", name);
	ok(spool_take(dir, str_from(name), 10, &out) == 5 && memcmp(out, "large", 5) == 0, "its content");
	free(out);
	ok(!exists(name) && spool_take(dir, str_from(name), 10, &out) == -ENOENT, "once");
	ok(spool_write(dir, 5, LS_STR("large"), name) == 0 && spool_take(dir, str_from(name), 4, &out) == -EFBIG &&
	           !exists(name),
	   "one that is too large goes as well");
	ok(spool_write("/nowhere/at/all", 5, LS_STR("x"), name) == -ENOENT, "a directory that is not there");
}

static void what_is_not_ours(void)
{
	char *out = NULL;

	ok(spool_take(dir, LS_STR("../x"), 10, &out) == -EINVAL, "a path");
	ok(symlink("/etc/passwd", path_of("luaserv.task.1.aaaaaa")) == 0 &&
	           spool_take(dir, LS_STR("luaserv.task.1.aaaaaa"), 100000, &out) == -ELOOP,
	   "a link is not followed");
	ok(mkdir(path_of("luaserv.task.1.bbbbbb"), 0700) == 0 &&
	           spool_take(dir, LS_STR("luaserv.task.1.bbbbbb"), 10, &out) == -EPERM,
	   "a directory");
	rmdir(path_of("luaserv.task.1.bbbbbb"));
	(void)unlink(path_of("luaserv.task.1.aaaaaa"));
}

static void sweeping(void)
{
	int queue = msgqueue_open(IPC_PRIVATE);
	char old[SPOOL_NAME_MAX], orphan[SPOOL_NAME_MAX];

	ok(spool_write(dir, queue, LS_STR("x"), old) == 0 && spool_write(dir, queue, LS_STR("x"), name) == 0 &&
	           spool_write(dir, INT_MAX, LS_STR("x"), orphan) == 0 &&
	           fd_write_all(open(path_of("other"), O_CREAT | O_WRONLY, 0600), LS_STR("x")) == 0,
	   "files");
	make_old(old, 100);
	make_old("other", 100);
	ok(spool_sweep(dir, INT_MAX - 1, 0) == 0,
	   "those of a queue that exists are not swept for another one, nor is a new one of a queue that does not");
	make_old(orphan, 100);
	ok(spool_sweep(dir, queue, 0) == 1 && !exists(orphan), "an old one of a queue that does not exist is");
	ok(spool_sweep(dir, queue, time(NULL) - 50) == 1 && !exists(old) && exists(name) && exists("other"),
	   "and of a queue those before a time");
	spool_remove(dir, name);
	ok(!exists(name), "one by its name");
	(void)unlink(path_of("other"));
	msgqueue_remove(queue);
}

static void preparing(void)
{
	struct err err;

	ok(spool_prepare(path_of("new"), &err) == 0 && exists("new") && spool_prepare(path_of("new"), &err) == 0,
	   "a directory is made");
	rmdir(path_of("new"));
	ok(spool_prepare("/dev/null", &err) == -ENOTDIR && strstr(err.text, "task_tmpdir /dev/null is no directory"),
	   "%s", err.text);
	ok(spool_prepare("/nowhere/at/all", &err) == -ENOENT, "%s", err.text);
}

int main(void)
{
	ok(mkdtemp(dir) != NULL, "a directory");
	there_and_back();
	what_is_not_ours();
	sweeping();
	preparing();
	rmdir(dir);
	return tap_done();
}
