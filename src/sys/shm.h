/* Shared memory: sealed memfds, so that a peer can neither truncate (SIGBUS) nor write what is not its own. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

struct shm {
	void *p;
	size_t size;
};

/* A memfd of `size` zero bytes, sealed SHRINK|GROW; close-on-exec.  Descriptor or negative errno. */
int shm_create(const char *name, size_t size);
/* Maps all of it.  A read-only mapping of a segment that its writer sealed stays valid and current. */
int shm_map(int fd, bool writable, struct shm *out);
void shm_unmap(struct shm *m);
/* Forbids new writable mappings and writes; existing ones go on working.  The only writer calls it after mapping. */
int shm_seal_writers(int fd);
/* True if the segment cannot change its size, and (writers) nobody new can write to it. */
bool shm_is_sealed(int fd, bool writers);

/* A memfd holding `bytes` that nobody can change any more.  Descriptor or negative errno. */
int shm_freeze(const char *name, struct str bytes);
