#include "sys/beneath.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 256 };

int beneath_root(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : -errno;
}

/* One name of a path, `len` bytes of it; `name` is room for them. */
static int take_step(int at, const char *path, size_t len, char *name, int flags)
{
	int fd;

	if (len == 2 && strncmp(path, "..", 2) == 0)
		return -EXDEV;
	memcpy(name, path, len);
	name[len] = '\0';
	fd = openat(at, len ? name : ".", flags | O_NOFOLLOW);
	return fd >= 0 ? fd : -errno;
}

/* For sandboxes that do not know openat2(): name by name, and no link is followed. */
static int open_by_names(int root, const char *path, int flags)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 0), next;

	while (at >= 0) {
		char name[NAME_MAX_BYTES];
		size_t len = strcspn(path, "/");

		next = len < sizeof name ? take_step(at, path, len, name, path[len] ? O_PATH | O_CLOEXEC : flags)
		                         : -ENAMETOOLONG;
		fd_close(&at);
		at = next;
		if (!path[len])
			break;
		path += len + strspn(path + len, "/");
	}
	return at;
}

int beneath_open(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof how);

	if (fd >= 0)
		return (int)fd;
	return errno == ENOSYS || errno == EPERM ? open_by_names(root, *path ? path : ".", (int)how.flags) : -errno;
}
