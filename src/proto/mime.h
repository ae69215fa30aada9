/* The type of a file by its name. */
#pragma once

#include "base/str.h"

/* "text/html" for "/a/b.HTML"; application/octet-stream for what is not known. */
struct str mime_of(struct str path);
