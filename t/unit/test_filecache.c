/* t/unit/test_filecache.c — what is kept, for how long, and who goes first. */
#include "net/filecache.c"

#include "tap.h"

static char folder[] = "/tmp/luaserv-files-XXXXXX";

static void write_file(const char *name, const char *content, size_t times)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	for (size_t i = 0; f && i < times; i++)
		fputs(content, f);
	if (f)
		fclose(f);
}

static bool holds(struct filecache *fc, const char *path, const char *content, uint64_t now)
{
	struct file *f = filecache_get(fc, path, now);
	bool same = f && (content ? f->bytes && str_eq(buf_str(f->bytes), str_from(content)) : !file_is_there(f));

	file_unref(f);
	return same;
}

int main(void)
{
	struct filecache *fc;
	struct file *f;
	int code = 0;

	if (!mkdtemp(folder))
		return 1;
	ok(!filecache_new("/no/such/folder", 10, 1000, &code) && code == -ENOENT, "no folder");
	write_file("a", "one", 1);
	write_file("large", "0123456789", 5000);
	fc = filecache_new(folder, 2, 1000, &code);
	ok(holds(fc, "a", "one", 0), "a small one is kept as bytes");
	write_file("a", "two!", 1);
	ok(holds(fc, "a", "one", 999) && holds(fc, "a", "two!", 1000), "until it is looked at again");
	ok(holds(fc, "b", NULL, 1000), "one that is not there");
	write_file("b", "now", 1);
	ok(holds(fc, "b", NULL, 1500) && holds(fc, "b", "now", 2000), "that is kept as well");
	f = filecache_get(fc, "large", 2000);
	ok(f && f->fd >= 0 && !f->bytes && f->size == 50000, "a large one by its descriptor");
	ok(fc->count == 2 && holds(fc, "a", "two!", 2000) && fc->count == 2, "no more than there may be");
	ok(f->fd >= 0, "who still uses one keeps it");
	file_unref(f);
	f = filecache_get(fc, "", 2000);
	ok(f && f->is_folder && !file_is_there(f), "the folder itself");
	file_unref(f);
	filecache_free(fc);
	for (const char *const *name = (const char *const[]){ "a", "b", "large", "", NULL }; *name; name++) {
		char path[200];

		snprintf(path, sizeof path, "%s/%s", folder, *name);
		(void)remove(path);
	}
	buf_trim();
	return tap_done();
}
