/* t/unit/test_beneath.c — what a path below a folder may name, with openat2() and without. */
#include "sys/beneath.c"

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char folder[] = "/tmp/luaserv-beneath-XXXXXX";

static void make(const char *name, const char *content)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = content ? fopen(path, "w") : NULL;
	if (f) {
		fputs(content, f);
		fclose(f);
	} else {
		mkdir(path, 0700);
	}
}

static int tried(int root, const char *path, bool by_names)
{
	int fd = by_names ? open_by_names(root, path, O_RDONLY | O_CLOEXEC) : beneath_open(root, path);
	int code = fd < 0 ? fd : 0;

	fd_close(&fd);
	return code;
}

int main(void)
{
	char path[200];
	int root;

	if (!mkdtemp(folder))
		return 1;
	make("root", NULL);
	make("root/a", NULL);
	make("root/a/file", "x");
	make("outside", "x");
	snprintf(path, sizeof path, "%s/root/out", folder);
	ok(symlink("../outside", path) == 0, "a link that leaves");
	snprintf(path, sizeof path, "%s/root/in", folder);
	ok(symlink("a/file", path) == 0, "and one that does not");
	snprintf(path, sizeof path, "%s/root", folder);
	root = beneath_root(path);
	ok(root >= 0, "the folder");
	for (int by_names = 0; by_names < 2; by_names++) {
		ok(tried(root, "a/file", by_names) == 0 && tried(root, "a", by_names) == 0 &&
		           tried(root, ".", by_names) == 0,
		   "what is in it");
		ok(tried(root, "../outside", by_names) == -EXDEV && tried(root, "a/../../outside", by_names) == -EXDEV,
		   "what is not");
		ok(tried(root, "out", by_names) < 0 && tried(root, "/etc/passwd", by_names) < 0,
		   "nor by a link, nor from the top");
		ok(tried(root, "missing", by_names) == -ENOENT && tried(root, "a/file/x", by_names) == -ENOTDIR,
		   "what is nowhere");
	}
	ok(tried(root, "in", false) == 0, "a link that stays is followed");
	ok(beneath_root("/no/such/folder") == -ENOENT, "no folder");
	fd_close(&root);
	for (const char *const *name = (const char *const[]){ "root/a/file", "root/a", "root/out", "root/in", "root",
	                                                      "outside", "", NULL };
	     *name; name++) {
		snprintf(path, sizeof path, "%s/%s", folder, *name);
		(void)remove(path);
	}
	return tap_done();
}
