/* The app image: the script and the Lua files it may need, frozen when they were accepted.
 *
 * A sealed memfd: header, index, files by absolute path.  Workers load from it, so that a crash after a failed reload
 * starts the accepted code and not what is on disk.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "sys/shm.h"

#include <lua.h>

struct image {
	struct shm map;
	unsigned files;
	const void *index; /* struct image_entry[files], sorted by path */
};

/* `path` against the absolute `base`, without ".", ".." and double slashes; symbolic links are left as they are.  False: it
 * does not fit `cap`. */
bool image_absolute(const char *base, const char *path, char *out, size_t cap);

/* Collects files; used by the eval role. */
struct image_builder;
struct image_builder *image_builder_new(uint64_t max_bytes);
/* Adds the file on disk (once per absolute path).  -EFBIG when the image would pass its limit. */
int image_builder_add(struct image_builder *b, const char *path, struct err *err);
/* Every *.lua below `directory` (hidden folders and symlinks to folders skipped, at most 8192 files), then the globs. */
int image_builder_add_tree(struct image_builder *b, const char *directory, struct err *err);
int image_builder_add_glob(struct image_builder *b, const char *directory, const char *pattern, struct err *err);
/* What was added under that path; p == NULL: nothing. */
struct str image_builder_find(const struct image_builder *b, const char *path);
/* The sealed memfd, or negative errno. */
int image_builder_freeze(struct image_builder *b, struct err *err);
void image_builder_free(struct image_builder *b);

/* Maps and checks a frozen image (a hostile one gives an error). */
int image_open(struct image *im, int fd, struct err *err);
void image_close(struct image *im);
/* The file with that absolute path; p == NULL: none. */
struct str image_find(const struct image *im, const char *path);

/* Puts the image before the disk in `require` (package.path templates are looked up in the image first), in loadfile and in
 * dofile.  `builder` (eval) instead records each file that is loaded from disk.  One of the two is NULL. The script's folder
 * is put in front of package.path and package.cpath. `directory` is that folder. */
void image_install(lua_State *L, const struct image *im, struct image_builder *builder, const char *directory);
/* Loads the chunk at an absolute path from the image or, if im is NULL, from disk; leaves the function on the stack. */
int image_load(lua_State *L, const struct image *im, const char *path, struct err *err);
