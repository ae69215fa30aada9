/* Files below a folder, kept open for the next request: what is looked at again within `valid_ms` costs no system call.
 *
 * Small files are kept as bytes.  That a file is not there is kept, too.  One thread.
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

#include <stdbool.h>

enum { FILE_ETAG_MAX = 40, FILE_SMALL = 32 * 1024 };

struct file {
	struct list used; /* most recent first */
	uint64_t hash;
	struct file *twin; /* another one whose path has the same hash */
	unsigned refs;     /* the cache's own included */
	uint64_t checked_ms;
	int fd; /* -1: not a file that can be sent */
	bool is_folder;
	uint64_t size;
	int64_t modified;  /* seconds since 1970 */
	struct buf *bytes; /* all of a small one; NULL: send from the descriptor */
	char etag[FILE_ETAG_MAX];
	char path[];
};

struct filecache {
	int root; /* of beneath_root() */
	uint64_t max;
	uint64_t valid_ms;
	struct map files; /* struct file, by the hash of the path */
	struct list used;
	uint64_t count;
};

/* NULL with negative errno in `*code`: there is no such folder. */
struct filecache *filecache_new(const char *root, uint64_t max, uint64_t valid_ms, int *code);
/* Files that are still referred to live on. NULL is ignored. */
void filecache_free(struct filecache *fc);
/* What the path names, to be given back by file_unref(); also if it is nothing.  NULL: no memory, or descriptors. */
struct file *filecache_get(struct filecache *fc, const char *path, uint64_t now_ms);
static inline bool file_is_there(const struct file *f)
{
	return f->fd >= 0 || f->bytes;
}
void file_unref(struct file *f);
