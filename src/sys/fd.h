/* File descriptors: everything is close-on-exec and, where it is polled, non-blocking. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/types.h>

/* Closes if >= 0 and sets to -1.  EINTR is not retried (Linux has closed it). */
void fd_close(int *fd);
int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);
/* All bytes, retrying EINTR and short writes; blocking descriptors.  0 or negative errno. */
int fd_write_all(int fd, struct str bytes);
/* One read, EINTR retried; negative errno. */
ssize_t fd_read(int fd, void *p, size_t len);
/* Reads a whole file of at most `max` bytes into malloc'ed, terminated memory.  -EFBIG when larger. */
ssize_t fd_read_file(const char *path, size_t max, char **out, struct err *err);
/* Closes every descriptor from `first` up. */
void fd_close_from(int first);
/* The soft limit of open files, raised to the hard one first. */
uint64_t fd_raise_limit(void);
