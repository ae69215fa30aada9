/* The Lua library inside the binary, generated from the folder lua/luaserv. */
#pragma once

#include <stddef.h>

struct embed_file {
	const char *name; /* "luaserv.co"; NULL ends the table */
	const char *data; /* terminated */
	size_t len;
};

extern const struct embed_file embed_files[];
