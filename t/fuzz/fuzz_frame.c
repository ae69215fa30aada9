/* Frames of a worker that has gone mad: none is taken that should not be, none breaks the connection it is for. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str get =
		LS_STR("GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n");
	struct proto_conn *pc = fuzz_open(&proto_http1, 1, false);
	struct frame f;

	fuzz_check(pc->proto->input(pc, get) == (ssize_t)get.len);
	for (; size > sizeof f; data += f.len, size -= f.len) {
		struct list *it = pc->streams.next;
		size_t len;
		char *copy;

		memcpy(&f, data, sizeof f);
		data += sizeof f;
		size -= sizeof f;
		f.len = (uint32_t)(f.len % 256 < size ? f.len % 256 : size);
		for (unsigned n = f.stream % 3; n && it->next != &pc->streams; n--)
			it = it->next;
		if (frame_check(&f, FRAME_UP) < 0 || pc->close_when_sent || it == &pc->streams)
			continue;
		copy = fuzz_copy(&(struct str){ (const char *)data, f.len }, 1, &len);
		pc->proto->output(pc, &f, str_make(copy, len), LS_CONTAINER_OF(it, struct stream, on_conn));
		free(copy);
	}
	pc->proto->close(pc);
	chain_clear(&pc->out);
	return 0;
}
