#include "super/rundir.h"

#include "base/codec.h"
#include "base/mem.h"
#include "super/jsonline.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ENTRY_BYTES_MAX = 1 << 20, BACKLOG = 16, SUN_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) };

static bool make_path(char *out, size_t cap, const char *directory, const char *rest)
{
	return snprintf(out, cap, "%s%s", directory, rest) < (int)cap;
}

int rundir_open(char *out, size_t cap, struct err *err)
{
	const char *own = getenv("LUASERV_RUNTIME_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	bool fits;

	if (own && own[0])
		fits = make_path(out, cap, own, "");
	else if (xdg && xdg[0])
		fits = make_path(out, cap, xdg, "/luaserv");
	else
		fits = snprintf(out, cap, "/tmp/luaserv-%u", (unsigned)geteuid()) < (int)cap;
	if (!fits)
		return err_set(err, -ENAMETOOLONG, "the path of the runtime directory is too long");
	if (mkdir(out, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "the runtime directory %s cannot be made: %s", out, strerror(errno));
	if (lstat(out, &st) < 0)
		return err_set(err, -errno, "the runtime directory %s cannot be used: %s", out, strerror(errno));
	/* In /tmp anybody could have made it before us. */
	if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && geteuid() != 0) || ((st.st_mode & 022) && !own))
		return err_set(err, -EPERM,
		               "the runtime directory %s is not ours alone; remove it or set "
		               "LUASERV_RUNTIME_DIR",
		               out);
	return 0;
}

/* ---- sockets --------------------------------------------------------------------------------- */

/* A socket's path may be longer than sun_path: then it is reached through its directory's descriptor. */
static int address_of(const char *path, struct sockaddr_un *un, int *directory)
{
	char folder[PATH_MAX];
	const char *name = strrchr(path, '/');

	*un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*directory = -1;
	if (str_copy(str_from(path), un->sun_path, SUN_PATH_MAX))
		return 0;
	if (!name || !str_copy(str_make(path, (size_t)(name - path)), folder, sizeof folder))
		return -ENAMETOOLONG;
	*directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*directory < 0)
		return -errno;
	if (snprintf(un->sun_path, SUN_PATH_MAX, "/proc/self/fd/%d%s", *directory, name) >= SUN_PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

static int open_socket(const char *path, bool listening)
{
	struct sockaddr_un un;
	int directory;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (listening ? SOCK_NONBLOCK : 0), 0);
	int r = fd < 0 ? -errno : address_of(path, &un, &directory);

	if (r < 0) {
		fd_close(&fd);
		return r;
	}
	if (listening) {
		unlink(un.sun_path);
		r = bind(fd, (struct sockaddr *)&un, sizeof un);
		if (r == 0)
			r = chmod(un.sun_path, 0600);
		if (r == 0)
			r = listen(fd, BACKLOG);
	} else {
		r = connect(fd, (struct sockaddr *)&un, sizeof un);
	}
	r = r < 0 ? -errno : fd;
	fd_close(&directory);
	if (r < 0)
		fd_close(&fd);
	return r;
}

int rundir_connect(const struct rundir_entry *entry)
{
	return open_socket(entry->socket, false);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* ".../x.sock" -> ".../x.json" */
static bool entry_path(const struct rundir_entry *e, char *out, size_t cap)
{
	size_t len = strlen(e->socket);

	return len > 5 && snprintf(out, cap, "%.*s.json", (int)len - 5, e->socket) < (int)cap;
}

static void put_field(FILE *f, const char *name, const char *value)
{
	fprintf(f, ",\"%s\":", name);
	jsonline_put(f, str_from(value));
}

static int write_entry(const struct rundir_entry *e)
{
	char path[PATH_MAX];
	FILE *f;

	if (!entry_path(e, path, sizeof path))
		return -ENAMETOOLONG;
	f = fopen(path, "wex");
	if (!f)
		return -errno;
	fprintf(f, "{\"pid\":%d,\"daemon\":%s", e->pid, e->daemon ? "true" : "false");
	put_field(f, "script", e->script);
	put_field(f, "directory", e->directory);
	put_field(f, "conf", e->conf);
	put_field(f, "options", e->options);
	fputs("}\n", f);
	return fclose(f) == 0 ? 0 : -errno;
}

int rundir_register(struct rundir_entry *e, struct err *err)
{
	char real[PATH_MAX];
	char folder[PATH_MAX];
	int fd, r = rundir_open(folder, sizeof folder, err);

	if (r < 0)
		return r;
	if (!realpath(e->script, real))
		str_copy(str_from(e->script), real, sizeof real);
	if (snprintf(e->socket, sizeof e->socket, "%s/%016" PRIx64 "-%d.sock", folder, codec_hash(str_from(real)),
	             e->pid) >= (int)sizeof e->socket)
		return err_set(err, -ENAMETOOLONG, "the path of the runtime directory is too long");
	rundir_remove(e); /* of a dead process that had our number */
	fd = open_socket(e->socket, true);
	if (fd < 0)
		return err_set(err, fd, "the admin socket %s cannot be made: %s", e->socket, strerror(-fd));
	r = write_entry(e);
	if (r < 0) {
		fd_close(&fd);
		rundir_remove(e);
		return err_set(err, r, "nothing can be written into %s: %s", folder, strerror(-r));
	}
	return fd;
}

void rundir_remove(const struct rundir_entry *e)
{
	char path[PATH_MAX];

	unlink(e->socket);
	if (entry_path(e, path, sizeof path))
		unlink(path);
}

static bool read_entry(const char *folder, const char *name, struct rundir_entry *e)
{
	char path[PATH_MAX], pid[16], daemon[8];
	size_t stem = strlen(name) - 5;
	uint64_t number = 0;
	char *text;

	if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path ||
	    snprintf(e->socket, sizeof e->socket, "%s/%.*s.sock", folder, (int)stem, name) >= (int)sizeof e->socket)
		return false;

	ssize_t len = fd_read_file(path, ENTRY_BYTES_MAX, &text, NULL);

	if (len < 0)
		return false;

	struct str line = str_make(text, (size_t)len);
	bool sound = jsonline_get(line, "pid", pid, sizeof pid) > 0 && str_to_u64(str_from(pid), &number) == 0 &&
	             number > 0 && number <= INT_MAX && jsonline_get(line, "daemon", daemon, sizeof daemon) > 0 &&
	             jsonline_get(line, "script", e->script, sizeof e->script) >= 0 &&
	             jsonline_get(line, "directory", e->directory, sizeof e->directory) >= 0 &&
	             jsonline_get(line, "conf", e->conf, sizeof e->conf) >= 0 &&
	             jsonline_get(line, "options", e->options, sizeof e->options) >= 0;

	e->pid = (pid_t)number;
	e->daemon = strcmp(daemon, "true") == 0;
	free(text);
	return sound;
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool fits(const struct rundir_query *q, const struct rundir_entry *e)
{
	if (q->pid && q->pid != e->pid)
		return false;
	if (q->script && !same_file(q->script, e->script))
		return false;
	return !q->directory || same_file(q->directory, e->directory);
}

/* A server whose process is gone or whose socket nobody answers is dead: its files are removed. */
static bool answers(const struct rundir_entry *e)
{
	int fd;

	if (kill(e->pid, 0) < 0 && errno == ESRCH) {
		rundir_remove(e);
		return false;
	}
	fd = rundir_connect(e);
	if (fd == -ECONNREFUSED)
		rundir_remove(e);
	if (fd < 0)
		return false;
	fd_close(&fd);
	return true;
}

int rundir_find(const struct rundir_query *q, struct rundir_entry *out, struct err *err)
{
	char folder[PATH_MAX];
	int found = 0, r = rundir_open(folder, sizeof folder, err);
	DIR *dir = r < 0 ? NULL : opendir(folder);
	struct rundir_entry *e;

	if (!dir)
		return r < 0 ? r
		             : err_set(err, -errno, "the runtime directory %s cannot be read: %s", folder,
		                       strerror(errno));
	e = xalloc(sizeof *e);
	for (struct dirent *d; (d = readdir(dir));) {
		if (!str_ends(str_from(d->d_name), LS_STR(".json")) || !read_entry(folder, d->d_name, e))
			continue;
		if (!fits(q, e) || !answers(e))
			continue;
		if (found++ == 0)
			*out = *e;
	}
	free(e);
	closedir(dir);
	if (found == 0)
		return err_set(err, -ESRCH, "no such server is running");
	if (found > 1)
		return err_set(err, -EEXIST, "%d servers fit; name one with -s or -p", found);
	return 0;
}
