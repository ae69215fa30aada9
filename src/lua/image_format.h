/* How an app image is laid out: header, entries sorted by path, then paths and contents, each with a NUL behind it. */
#pragma once

#include <stdint.h>

#define IMAGE_MAGIC "LSIMAGE1"

enum { IMAGE_FILES_MAX = 8192 };

struct image_header {
	char magic[8];
	uint32_t files;
	uint32_t zero;
	uint64_t size; /* of everything */
};

/* Offsets from the header's first byte; lengths without the NUL. */
struct image_entry {
	uint64_t path;
	uint64_t data;
	uint64_t data_len;
	uint32_t path_len;
	uint32_t zero;
};
