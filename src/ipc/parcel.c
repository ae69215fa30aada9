#include "ipc/parcel.h"

#include "base/bits.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/shm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(sizeof(struct parcel_head) == 16, "two processes read and write it");

/* In frame.flags: the payload is in the datagram's descriptor. */
enum { BY_FD = 1 << 14 };

static size_t padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

void parcel_begin(struct parcel *p, const struct parcel_head *from)
{
	memcpy(p->data, from, sizeof *from);
	p->len = p->weight = sizeof *from;
	p->frames = 0;
	p->fd = -1;
}

static void put(struct parcel *p, const void *bytes, size_t len)
{
	if (len)
		memcpy(p->data + p->len, bytes, len);
	p->len += len;
	p->weight += len;
}

/* The payload as a file nobody can change any more. */
static int freeze(const struct str *parts, int n, size_t len)
{
	char *whole = try_alloc(len);
	size_t at = 0;
	int fd;

	if (!whole)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		if (parts[i].len)
			memcpy(whole + at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	fd = shm_freeze("luaserv-parcel", str_make(whole, len));
	free(whole);
	return fd;
}

static int add_large(struct parcel *p, struct frame *f, const struct str *parts, int n, size_t len)
{
	int fd;

	if (p->frames > 0)
		return -ENOBUFS;
	fd = freeze(parts, n, len);
	if (fd < 0)
		return fd;
	p->fd = fd;
	f->flags |= BY_FD;
	put(p, f, sizeof *f);
	/* Padded, so that the socket holds few of them: it counts the bytes of datagrams and not those of their descriptors. */
	memset(p->data + p->len, 0, sizeof p->data - p->len);
	p->len = sizeof p->data;
	p->weight += len;
	p->frames++;
	return 0;
}

int parcel_add(struct parcel *p, const struct frame *f, const struct str *parts, int n)
{
	struct frame copy = *f;
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += parts[i].len;
	copy.len = (uint32_t)len;
	if (p->fd >= 0)
		return -ENOBUFS;
	if (len > PARCEL_PAYLOAD_MAX)
		return add_large(p, &copy, parts, n, len);
	if (p->len + sizeof copy + padded(len) > sizeof p->data)
		return -ENOBUFS;
	put(p, &copy, sizeof copy);
	for (int i = 0; i < n; i++)
		put(p, parts[i].p, parts[i].len);
	memset(p->data + p->len, 0, padded(len) - len);
	p->len += padded(len) - len;
	p->frames++;
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

struct reader {
	struct parcel_head *from;
	void (*on_frame)(void *ctx, const struct parcel_head *from, const struct frame *f, struct str payload);
	void *ctx;
};

static int read_large(const struct reader *r, struct frame *f, int fd, size_t whole_max)
{
	struct shm m;
	struct stat st;

	f->flags &= (uint16_t)~BY_FD;
	if (fd < 0 || f->len > whole_max || !shm_is_sealed(fd, true) || fstat(fd, &st) < 0 ||
	    st.st_size < (off_t)f->len)
		return -EBADMSG;
	if (shm_map(fd, false, &m) < 0)
		return -EBADMSG;
	r->on_frame(r->ctx, r->from, f, str_make(m.p, f->len));
	shm_unmap(&m);
	return 0;
}

int parcel_read(struct str datagram, int fd, size_t whole_max, struct parcel_head *from,
                void (*on_frame)(void *ctx, const struct parcel_head *from, const struct frame *f, struct str payload),
                void *ctx)
{
	struct reader r = { from, on_frame, ctx };

	if (datagram.len < sizeof *from)
		return -EBADMSG;
	memcpy(from, datagram.p, sizeof *from);
	datagram = str_skip(datagram, sizeof *from);
	while (datagram.len) {
		struct frame f;

		if (datagram.len < sizeof f)
			return -EBADMSG;
		memcpy(&f, datagram.p, sizeof f);
		datagram = str_skip(datagram, sizeof f);
		if (f.flags & BY_FD)
			return read_large(&r, &f, fd, whole_max);
		if (padded(f.len) > datagram.len)
			return -EBADMSG;
		on_frame(ctx, from, &f, str_take(datagram, f.len));
		datagram = str_skip(datagram, padded(f.len));
	}
	return 0;
}
