/* What processes write of datagrams: the address in front of one (struct sock_far), and parcels of frames between workers. */
#include "ipc/parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_frame(void *ctx, const struct parcel_head *from, const struct frame *f, struct str payload)
{
	volatile char sum = (char)from->slot;
	size_t *total = ctx;

	if (f->len != payload.len)
		abort();
	for (size_t i = 0; i < payload.len; i++)
		sum = (char)(sum + payload.p[i]); /* every byte can be read */
	*total += sizeof *f + payload.len;
}

static void read_address(struct str bytes)
{
	char text[SOCK_TEXT_MAX];
	struct sock_addr addr;
	struct sock_far far, again;

	if (sock_far_read(bytes, &far) < 0)
		return;
	if (sock_far_size(&far) > bytes.len || strlen(sock_far_text(&far, text)) >= sizeof text)
		abort();
	if (sock_addr_of_far(&far, &addr) < 0 || far.peer.family != AF_UNIX)
		return;
	/* A path ends at its first NUL; what is behind it is not part of the name. */
	again = sock_far_of(&addr);
	if (again.peer.path_len > far.peer.path_len || memcmp(again.path, far.path, again.peer.path_len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1); /* so that ASan sees its end */
	struct parcel_head from;
	size_t total = 0;

	if (size)
		memcpy(exact, data, size);
	read_address(str_make(exact, size));
	if (parcel_read(str_make(exact, size), -1, 1 << 20, &from, on_frame, &total) == 0 && total > size)
		abort();
	free(exact);
	return 0;
}
