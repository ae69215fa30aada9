/* The process itself: identity, limits, titles. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* chroot, then groups, gid, uid, in that order; each failure is an error.  Empty strings are skipped; `group` empty and
 * `user` given: the user's own group.  Needs root unless there is nothing to change. */
int proc_drop_privileges(const char *user, const char *group, const char *chroot_dir, struct err *err);
/* Orphans of our descendants become our children. */
int proc_become_subreaper(void);
/* Must be called once by main() with its argv before proc_set_title(); puts copies of the strings into argv. */
void proc_init_title(int argc, char **argv);
/* What ps shows; cut to the room of the original argv. */
void proc_set_title(const char *title);
/* CPUs this process may use: affinity mask, bounded by the cgroup's quota (v1 and v2), at least 1. */
unsigned proc_cpu_count(void);
/* Resident set in bytes, 0 if unknown. */
uint64_t proc_rss(void);
