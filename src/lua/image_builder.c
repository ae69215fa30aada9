#include "lua/image.h"

#include "base/map.h"
#include "base/mem.h"
#include "lua/image_format.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { DEPTH_MAX = 32, ENTRIES_MAX = 100000 };

struct built_file {
	char *path;
	char *data;
	size_t path_len;
	size_t len;
};

struct image_builder {
	uint64_t max_bytes;
	uint64_t bytes; /* of contents and paths */
	struct built_file **files;
	unsigned count;
	unsigned cap;
	struct map by_path; /* by hash of the path, the next free key on a collision */
};

/* What a walk through a folder looks for. */
struct walk {
	struct image_builder *builder;
	const char *root;
	const char *pattern; /* NULL: every *.lua */
	int flags;           /* of fnmatch() */
	unsigned entries;
	struct err *err;
};

struct image_builder *image_builder_new(uint64_t max_bytes)
{
	struct image_builder *b = xzalloc(sizeof *b);

	b->max_bytes = max_bytes;
	map_init(&b->by_path);
	return b;
}

void image_builder_free(struct image_builder *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->count; i++) {
		free(b->files[i]->path);
		free(b->files[i]->data);
		free(b->files[i]);
	}
	free(b->files);
	map_fini(&b->by_path);
	free(b);
}

static uint64_t hash_of(const char *path)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *path; path++)
		h = (h ^ (uint8_t)*path) * 0x100000001b3;
	return h;
}

/* The file, or NULL and the key under which it would stand. */
static struct built_file *find(const struct image_builder *b, const char *path, uint64_t *key)
{
	struct built_file *f;

	for (*key = hash_of(path); (f = map_get(&b->by_path, *key)); ++*key)
		if (strcmp(f->path, path) == 0)
			return f;
	return NULL;
}

struct str image_builder_find(const struct image_builder *b, const char *path)
{
	uint64_t key;
	const struct built_file *f = find(b, path, &key);

	return f ? str_make(f->data, f->len) : str_make(NULL, 0);
}

static void append(struct image_builder *b, uint64_t key, struct built_file *f)
{
	if (b->count == b->cap) {
		b->cap = b->cap ? b->cap * 2 : 32;
		b->files = xrealloc(b->files, b->cap * sizeof(struct built_file *));
	}
	b->files[b->count++] = f;
	b->bytes += f->len + f->path_len;
	map_put(&b->by_path, key, f);
}

int image_builder_add(struct image_builder *b, const char *path, struct err *err)
{
	char absolute[PATH_MAX];
	struct stat st;
	char *data;
	uint64_t key;

	if (!image_absolute("/", path, absolute, sizeof absolute))
		return err_set(err, -ENAMETOOLONG, "the path %.80s… is too long", path);
	if (find(b, absolute, &key))
		return 0;
	if (b->count >= IMAGE_FILES_MAX)
		return err_set(err, -EFBIG, "the app image would hold more than %d files", IMAGE_FILES_MAX);
	/* Opening a FIFO would wait for its writer. */
	if (stat(absolute, &st) < 0)
		return err_set(err, -errno, "%s: %s", absolute, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is not a regular file", absolute);

	uint64_t left = b->max_bytes - LS_MIN(b->bytes, b->max_bytes);
	ssize_t len = fd_read_file(absolute, left, &data, err);

	if (len == -EFBIG)
		return err_set(err, -EFBIG,
		               "the app image would be larger than %" PRIu64 " bytes (image_max_size) with %s",
		               b->max_bytes, absolute);
	if (len < 0)
		return (int)len;

	struct built_file *f = xzalloc(sizeof *f);

	f->path = xstrdup(absolute);
	f->path_len = strlen(absolute);
	f->data = data;
	f->len = (size_t)len;
	append(b, key, f);
	return 0;
}

/* ---- folders ------------------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct walk *w, const char *path)
{
	const char *relative = path + strlen(w->root) + 1;

	if (!w->pattern)
		return str_ends(str_from(path), LS_STR(".lua"));
	return fnmatch(w->pattern, relative, w->flags) == 0;
}

static int walk_folder(struct walk *w, const char *folder, unsigned depth);

/* DT_UNKNOWN comes from a few file systems. */
static unsigned char type_of(const char *path, const struct dirent *d)
{
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type;
	if (lstat(path, &st) < 0)
		return DT_UNKNOWN;
	return S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
}

/* A link to a file counts as a file; one to a folder is not followed, it may lead in a circle. */
static bool is_file(const char *path, unsigned char type)
{
	struct stat st;

	return type == DT_REG || (type == DT_LNK && stat(path, &st) == 0 && S_ISREG(st.st_mode));
}

static int walk_entry(struct walk *w, const char *folder, const struct dirent *d, unsigned depth)
{
	char path[PATH_MAX];
	int n;

	if (d->d_name[0] == '.')
		return 0;
	if (++w->entries > ENTRIES_MAX)
		return err_set(w->err, -EFBIG, "%s holds more than %d files", w->root, ENTRIES_MAX);
	n = snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
	if (n < 0 || (size_t)n >= sizeof path)
		return err_set(w->err, -ENAMETOOLONG, "the path of %s in %s is too long", d->d_name, folder);

	unsigned char type = type_of(path, d);

	if (type == DT_DIR)
		return walk_folder(w, path, depth + 1);
	if (!is_wanted(w, path) || !is_file(path, type))
		return 0;
	return image_builder_add(w->builder, path, w->err);
}

static int walk_folder(struct walk *w, const char *folder, unsigned depth)
{
	struct dirent *d;
	DIR *dir;
	int r = 0;

	if (depth > DEPTH_MAX)
		return err_set(w->err, -ELOOP, "folders below %s are nested deeper than %d", w->root, DEPTH_MAX);
	dir = opendir(folder);
	if (!dir) {
		/* A folder that the server may not read holds nothing it could load. */
		if (depth > 0 && errno == EACCES)
			return 0;
		return err_set(w->err, -errno, "%s: %s", folder, strerror(errno));
	}
	while (r == 0 && (d = readdir(dir)))
		r = walk_entry(w, folder, d, depth);
	closedir(dir);
	return r;
}

static int walk_tree(struct image_builder *b, const char *directory, const char *pattern, int flags, struct err *err)
{
	char root[PATH_MAX];
	struct walk w = { .builder = b, .root = root, .pattern = pattern, .flags = flags, .err = err };

	if (!image_absolute("/", directory, root, sizeof root))
		return err_set(err, -ENAMETOOLONG, "the path %.80s… is too long", directory);
	return walk_folder(&w, root, 0);
}

int image_builder_add_tree(struct image_builder *b, const char *directory, struct err *err)
{
	return walk_tree(b, directory, NULL, 0, err);
}

/* Two stars match across folders, one does not. */
int image_builder_add_glob(struct image_builder *b, const char *directory, const char *pattern, struct err *err)
{
	int flags = strstr(pattern, "**") ? 0 : FNM_PATHNAME;

	if (pattern[0] == '/' || strstr(pattern, ".."))
		return err_set(err, -EINVAL, "image: %s must be relative to the script's folder and lie below it",
		               pattern);
	if (pattern[0] == '.' && pattern[1] == '/')
		pattern += 2;
	return walk_tree(b, directory, pattern, flags, err);
}

/* ---- freezing ------------------------------------------------------------------------------------------------------ */

static int by_path(const void *a, const void *b)
{
	const struct built_file *const *x = a;
	const struct built_file *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

/* Copies with the NUL behind; returns where it stands. */
static uint64_t put(char *image, uint64_t *at, const char *bytes, size_t len)
{
	uint64_t here = *at;

	if (len)
		memcpy(image + here, bytes, len);
	*at += len + 1;
	return here;
}

int image_builder_freeze(struct image_builder *b, struct err *err)
{
	uint64_t at = sizeof(struct image_header) + b->count * sizeof(struct image_entry);
	uint64_t size = at + b->bytes + 2 * b->count;
	char *image = try_alloc(size);

	if (!image)
		return err_set(err, -ENOMEM, "there is no memory for an app image of %" PRIu64 " bytes", size);
	memset(image, 0, size);
	if (b->count)
		qsort(b->files, b->count, sizeof(struct built_file *), by_path);

	struct image_header header = { .magic = IMAGE_MAGIC, .files = b->count, .size = size };

	memcpy(image, &header, sizeof header);
	for (unsigned i = 0; i < b->count; i++) {
		const struct built_file *f = b->files[i];
		struct image_entry entry = { .path_len = (uint32_t)f->path_len, .data_len = f->len };

		entry.path = put(image, &at, f->path, f->path_len);
		entry.data = put(image, &at, f->data, f->len);
		memcpy(image + sizeof header + i * sizeof entry, &entry, sizeof entry);
	}

	int fd = shm_freeze("luaserv-image", str_make(image, size));

	free(image);
	if (fd < 0)
		return err_set(err, fd, "the app image cannot be frozen: %s", strerror(-fd));
	return fd;
}
