/* Opening files below a folder, and nowhere else, whatever the path or a symbolic link says. */
#pragma once

/* The folder, for beneath_open(): a descriptor, or negative errno. */
int beneath_root(const char *path);
/* Opens for reading what `path` (relative, "" or "." for the folder itself) names below `root`.  Links are followed as long as they stay
 * there.  A descriptor, or negative errno; -EXDEV: it would have left the folder. */
int beneath_open(int root, const char *path);
