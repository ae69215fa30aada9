/* t/unit/test_http1_chunk.c — any body, cut into any chunks and any reads, comes back as it was. */
#include "proto/http1_chunk.c"

#include "base/mem.h"
#include "tap.h"

#include <stdio.h>

#include <stdlib.h>

enum { ROUNDS = 20000, BODY = 300, CODED = 8192 };

/* Codes `body` in random chunks; returns the length. */
static size_t encode(const char *body, size_t len, char *out)
{
	size_t n = 0;

	while (len) {
		size_t chunk = 1 + (size_t)rand() % len;

		n += (size_t)snprintf(out + n, CODED - n, rand() % 2 ? "%zx" : "00%zX", chunk);
		n += (size_t)snprintf(out + n, CODED - n, rand() % 3 ? "\r\n" : ";a=\"b;c\"\r\n");
		memcpy(out + n, body, chunk);
		n += chunk;
		n += (size_t)snprintf(out + n, CODED - n, "\r\n");
		body += chunk;
		len -= chunk;
	}
	return n + (size_t)snprintf(out + n, CODED - n, rand() % 2 ? "0\r\n\r\n" : "000;x\r\nA: b\r\nC:\r\n\r\n");
}

/* Decodes in random reads, each in memory of its own; returns the body's length, `*over` what was not eaten. */
static size_t decode(struct str in, char *body, size_t *over)
{
	struct http1_chunk c = { 0 };
	size_t len = 0;

	while (!http1_chunk_done(&c) && in.len) {
		struct str part = str_take(in, 1 + (size_t)rand() % 30), data;
		char *copy = xmemdup0(part.p, part.len);
		ssize_t n = http1_chunk_next(&c, str_make(copy, part.len), &data);

		if (n <= 0)
			abort();
		memcpy(body + len, data.p, data.len);
		len += data.len;
		free(copy);
		in = str_skip(in, (size_t)n);
	}
	*over = in.len;
	return len;
}

static void comes_back(void)
{
	static char body[BODY], coded[CODED], back[CODED];
	bool same = true;

	srand(3);
	for (int i = 0; i < ROUNDS && same; i++) {
		size_t len = (size_t)rand() % BODY, coded_len, over;

		for (size_t k = 0; k < len; k++)
			body[k] = (char)rand();
		coded_len = encode(body, len, coded);
		memcpy(coded + coded_len, "NEXT", 4);
		same = decode(str_make(coded, coded_len + 4), back, &over) == len && memcmp(back, body, len) == 0 &&
		       over <= 4;
		same = same && over == 4;
	}
	ok(same, "%d bodies come back, and what follows is left alone", ROUNDS);
}

static void keeps_sizes_below_overflow(void)
{
	struct http1_chunk c = { 0 };
	struct str data;

	ok(http1_chunk_next(&c, LS_STR("0fffffffffffffff\r\n"), &data) == 18 && c.left == 0xfffffffffffffff,
	   "60 bits are a size");
	c = (struct http1_chunk){ 0 };
	ok(http1_chunk_next(&c, LS_STR("1000000000000000\r\n"), &data) == -EBADMSG, "61 are not");
}

int main(void)
{
	comes_back();
	keeps_sizes_below_overflow();
	return tap_done();
}
