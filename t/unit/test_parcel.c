/* t/unit/test_parcel.c — frames in datagrams: several, large ones by memfd, and everything that is malformed. */
#include "ipc/parcel.c"

#include "tap.h"

#include <fcntl.h>

static struct parcel parcel;
static struct parcel_head from;
static const struct parcel_head me = { .slot = 3, .generation = 77 };
static unsigned seen;
static size_t bytes;
static struct frame last;
static char text[64];

static void note(void *ctx, const struct parcel_head *head, const struct frame *f, struct str payload)
{
	(void)ctx;
	seen += head->slot == 3 && head->generation == 77;
	bytes += payload.len;
	last = *f;
	str_copy(str_take(payload, sizeof text - 1), text, sizeof text);
}

static int read_parcel(size_t len, size_t whole_max)
{
	seen = 0;
	bytes = 0;
	return parcel_read(str_make(parcel.data, len), parcel.fd, whole_max, &from, note, NULL);
}

static void several_travel_together(void)
{
	struct str parts[2] = { LS_STR("he"), LS_STR("llo") };
	struct frame f = { .type = FRAME_SEND, .conn = 5, .value = 9 };
	unsigned n = 0;

	parcel_begin(&parcel, &me);
	ok(parcel_add(&parcel, &f, parts, 2) == 0 && read_parcel(parcel.len, 0) == 0 && seen == 1 && last.conn == 5 &&
	           last.len == 5 && strcmp(text, "hello") == 0,
	   "one");
	while (parcel_add(&parcel, &f, parts, 2) == 0)
		n++;
	ok(n > 1000 && read_parcel(parcel.len, 0) == 0 && seen == n + 1 && bytes == 5 * (size_t)(n + 1),
	   "as many as fit");
	parcel_begin(&parcel, &me);
	ok(read_parcel(parcel.len, 0) == 0 && seen == 0, "none");
}

static void large_ones_travel_by_descriptor(void)
{
	enum { LEN = 300000 };
	char *large = malloc(LEN);
	struct frame f = { .type = FRAME_PUBLISH };
	struct str part = str_make(large, LEN), small = LS_STR("x");

	memset(large, 'y', LEN);
	parcel_begin(&parcel, &me);
	ok(parcel_add(&parcel, &f, &part, 1) == 0 && parcel.fd >= 0 && parcel.len == PARCEL_MAX,
	   "its payload is not in the datagram, which is padded");
	ok(parcel.weight > LEN && parcel.weight < LEN + 100, "but weighs");
	ok(parcel_add(&parcel, &f, &small, 1) == -ENOBUFS, "and it travels alone");
	ok(read_parcel(parcel.len, LEN) == 0 && seen == 1 && bytes == LEN && last.len == LEN && text[0] == 'y' &&
	           last.flags == 0,
	   "it arrives");
	ok(read_parcel(parcel.len, LEN - 1) == -EBADMSG && seen == 0, "but not over the limit");
	fd_close(&parcel.fd);
	ok(read_parcel(parcel.len, LEN) == -EBADMSG, "nor without its descriptor");
	parcel.fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ok(read_parcel(parcel.len, LEN) == -EBADMSG, "nor with another one");
	fd_close(&parcel.fd);
	parcel.fd = shm_freeze("short", LS_STR("abc"));
	ok(read_parcel(parcel.len, LEN) == -EBADMSG, "nor with one that is too short");
	fd_close(&parcel.fd);
	parcel_begin(&parcel, &me);
	parcel_add(&parcel, &f, &small, 1);
	ok(parcel_add(&parcel, &f, &part, 1) == -ENOBUFS && parcel.fd < 0, "small ones leave first");
	free(large);
}

static void malformed_ones_are_refused(void)
{
	struct str part = LS_STR("0123456789");
	struct frame f = { .type = FRAME_SEND };
	bool refused = true;

	parcel_begin(&parcel, &me);
	parcel_add(&parcel, &f, &part, 1);
	for (size_t len = 0; len < parcel.len; len++)
		refused = refused && (read_parcel(len, 0) == -EBADMSG || len == sizeof me) && seen == 0;
	ok(refused, "every one that is cut short");
	((struct frame *)(void *)(parcel.data + sizeof me))->len = UINT32_MAX;
	ok(read_parcel(parcel.len, 0) == -EBADMSG && seen == 0, "a length that is none");
}

int main(void)
{
	several_travel_together();
	large_ones_travel_by_descriptor();
	malformed_ones_are_refused();
	return tap_done();
}
