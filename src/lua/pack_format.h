/* How packed values look; for pack.c and unpack.c. */
#pragma once

#include <stdint.h>

/* The first byte of a value, and what follows it. */
enum pack_kind {
	PACK_NIL,
	PACK_FALSE,
	PACK_TRUE,
	PACK_NULL,   /* cjson.null */
	PACK_INT,    /* int32_t */
	PACK_NUMBER, /* double */
	PACK_SHORT,  /* uint8_t length, bytes */
	PACK_LONG,   /* uint32_t length, bytes */
	PACK_TABLE,  /* struct pack_table, values of the list, then keys and values */
};

struct pack_table {
	uint32_t list;  /* values of 1 … list */
	uint32_t pairs; /* other keys */
};
