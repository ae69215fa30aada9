#include "net/filecache.h"

#include "base/codec.h"
#include "base/mem.h"
#include "sys/beneath.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct filecache *filecache_new(const char *root, uint64_t max, uint64_t valid_ms, int *code)
{
	int fd = beneath_root(root);
	struct filecache *fc;

	if (fd < 0) {
		*code = fd;
		return NULL;
	}
	fc = xzalloc(sizeof *fc);
	*fc = (struct filecache){ .root = fd, .max = max, .valid_ms = valid_ms };
	list_init(&fc->used);
	return fc;
}

void file_unref(struct file *f)
{
	if (--f->refs > 0)
		return;
	fd_close(&f->fd);
	buf_unref(f->bytes);
	free(f);
}

static void forget(struct filecache *fc, struct file *f)
{
	struct file *first = map_get(&fc->files, f->hash);

	if (first != f) {
		while (first->twin != f)
			first = first->twin;
		first->twin = f->twin;
	} else if (f->twin) {
		map_put(&fc->files, f->hash, f->twin);
	} else {
		(void)map_del(&fc->files, f->hash);
	}
	list_del(&f->used);
	fc->count--;
	file_unref(f);
}

void filecache_free(struct filecache *fc)
{
	if (!fc)
		return;
	for (struct list *it; (it = list_first(&fc->used));)
		forget(fc, LS_CONTAINER_OF(it, struct file, used));
	map_fini(&fc->files);
	fd_close(&fc->root);
	free(fc);
}

/* The bytes of a small file instead of its descriptor; one that changes meanwhile is sent from there. */
static void read_small(struct file *f)
{
	struct buf *b = f->size <= FILE_SMALL ? buf_new(f->size ? f->size : 1) : NULL;

	if (!b)
		return;
	if (fd_read(f->fd, b->data, f->size) != (ssize_t)f->size) {
		buf_unref(b);
		return;
	}
	b->len = (uint32_t)f->size;
	f->bytes = b;
	fd_close(&f->fd);
}

/* False: what there is could not be looked at now, which says nothing of it. */
static bool look(struct filecache *fc, struct file *f)
{
	struct stat st;
	int fd = beneath_open(fc->root, f->path);

	if (fd < 0)
		return fd != -EMFILE && fd != -ENFILE && fd != -ENOMEM;
	f->fd = fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		f->is_folder = S_ISDIR(st.st_mode);
		fd_close(&f->fd);
		return true;
	}
	f->size = (uint64_t)st.st_size;
	f->modified = st.st_mtim.tv_sec;
	/* Nanoseconds too: a file may change twice in a second. */
	snprintf(f->etag, sizeof f->etag, "\"%llx-%llx\"",
	         (unsigned long long)st.st_mtim.tv_sec * 1000000000 + (unsigned long long)st.st_mtim.tv_nsec,
	         (unsigned long long)f->size);
	read_small(f);
	return true;
}

static struct file *find(struct filecache *fc, struct str path, uint64_t hash)
{
	struct file *f = map_get(&fc->files, hash);

	while (f && !str_eq(str_from(f->path), path))
		f = f->twin;
	return f;
}

static void remember(struct filecache *fc, struct file *f)
{
	f->twin = map_get(&fc->files, f->hash);
	map_put(&fc->files, f->hash, f);
	list_append(fc->used.next, &f->used);
	f->refs++;
	fc->count++;
	if (fc->count > fc->max)
		forget(fc, LS_CONTAINER_OF(fc->used.prev, struct file, used));
}

struct file *filecache_get(struct filecache *fc, const char *path, uint64_t now_ms)
{
	struct str name = str_from(path);
	uint64_t hash = codec_hash(name);
	struct file *f = find(fc, name, hash);

	if (f && now_ms - f->checked_ms < fc->valid_ms) {
		list_del(&f->used);
		list_append(fc->used.next, &f->used);
		f->refs++;
		return f;
	}
	if (f)
		forget(fc, f);
	f = try_alloc(sizeof *f + name.len + 1);
	if (!f)
		return NULL;
	*f = (struct file){ .hash = hash, .refs = 1, .checked_ms = now_ms, .fd = -1 };
	list_init(&f->used);
	memcpy(f->path, path, name.len + 1);
	if (!look(fc, f)) {
		file_unref(f);
		return NULL;
	}
	if (fc->max > 0)
		remember(fc, f);
	return f;
}
