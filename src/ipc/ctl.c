#include "ipc/ctl.h"

#include "base/bits.h"
#include "base/codec.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { SEND_WAIT_MS = 1000 };

/* What stands before the text; the same program is at both ends, so the layout is the compiler's. */
struct ctl_head {
	uint32_t type;
	uint32_t slot;
	uint64_t generation;
	uint64_t value;
	uint64_t extra;
};

struct ctl_row {
	const char *name;
	unsigned senders;
	int least_fds;
	int most_fds;
	size_t least_text;
	size_t most_text;
};

static const struct ctl_row rows[CTL_TYPES] = {
#define CTL(senders, name, least_fds, most_fds, least_text, most_text, doc) \
	[CTL_##name] = { #name, senders, least_fds, most_fds, least_text, most_text },
#include "ipc/ctl.def"
#undef CTL
};

const char *ctl_name(unsigned type)
{
	return type > CTL_NONE && type < CTL_TYPES ? rows[type].name : "?";
}

const char *ctl_build_id(void)
{
	static const char table[] =
#define CTL(senders, name, least_fds, most_fds, least_text, most_text, doc) \
#name " " #least_fds " " #most_fds " " #most_text ";"
#include "ipc/ctl.def"
#undef CTL
		;
	static _Thread_local char id[40];

	snprintf(id, sizeof id, "%s/%016llx", LS_VERSION, (unsigned long long)codec_hash(str_from(table)));
	return id;
}

int ctl_send(int fd, const struct ctl_msg *m)
{
	struct ctl_head head = { m->type, m->slot, m->generation, m->value, m->extra };
	struct str parts[2] = { str_make(&head, sizeof head), m->text };
	int r = unixmsg_send(fd, parts, m->text.len ? 2 : 1, m->fds, m->n_fds);

	if (r == -EAGAIN) {
		struct pollfd wait = { .fd = fd, .events = POLLOUT };

		if (poll(&wait, 1, SEND_WAIT_MS) == 1)
			r = unixmsg_send(fd, parts, m->text.len ? 2 : 1, m->fds, m->n_fds);
	}
	return r;
}

int ctl_parse(struct str bytes, int n_fds, unsigned from, struct ctl_msg *m)
{
	struct ctl_head head;

	if (bytes.len < sizeof head)
		return -EPROTO;
	memcpy(&head, bytes.p, sizeof head);
	if (head.type == CTL_NONE || head.type >= CTL_TYPES)
		return -EPROTO;

	const struct ctl_row *row = &rows[head.type];
	size_t text = bytes.len - sizeof head;

	if (!(row->senders & from) || n_fds < row->least_fds || n_fds > row->most_fds)
		return -EPROTO;
	if (text < row->least_text || text > row->most_text)
		return -EPROTO;
	m->type = head.type;
	m->slot = head.slot;
	m->generation = head.generation;
	m->value = head.value;
	m->extra = head.extra;
	m->text = str_skip(bytes, sizeof head);
	m->n_fds = n_fds;
	return 0;
}

int ctl_recv(int fd, unsigned from, struct ctl_msg *m)
{
	/* Not in thread-local storage itself, which would stand on every thread's stack. */
	static _Thread_local char *bytes;
	const size_t cap = sizeof(struct ctl_head) + CTL_TEXT_MAX;

	if (!bytes)
		bytes = xalloc(cap);
	m->n_fds = CTL_FDS_MAX;

	ssize_t len = unixmsg_recv(fd, bytes, cap, m->fds, &m->n_fds);

	if (len <= 0) {
		m->n_fds = 0;
		return len == -EMSGSIZE ? -EPROTO : (int)len;
	}
	if (ctl_parse(str_make(bytes, (size_t)len), m->n_fds, from, m) < 0) {
		ctl_close_fds(m);
		return -EPROTO;
	}
	return 1;
}

int ctl_send_fds(int fd, enum ctl_type type, const int *fds, unsigned n)
{
	for (unsigned at = 0; at < n; at += CTL_FDS_MAX) {
		struct ctl_msg m = {
			.type = type,
			.value = at,
			.n_fds = (int)LS_MIN(n - at, (unsigned)CTL_FDS_MAX),
		};
		int r;

		memcpy(m.fds, fds + at, (size_t)m.n_fds * sizeof *fds);
		r = ctl_send(fd, &m);
		if (r < 0)
			return r;
	}
	return 0;
}

int ctl_take_fd(struct ctl_msg *m, int i)
{
	int fd = m->fds[i];

	m->fds[i] = -1;
	return fd;
}

int ctl_take_fds(struct ctl_msg *m, int *to, unsigned *n, unsigned max)
{
	if (m->value != *n || *n + (unsigned)m->n_fds > max)
		return -EPROTO;
	for (int i = 0; i < m->n_fds; i++)
		to[(*n)++] = ctl_take_fd(m, i);
	return 0;
}

void ctl_close_fds(struct ctl_msg *m)
{
	for (int i = 0; i < m->n_fds; i++)
		fd_close(&m->fds[i]);
	m->n_fds = 0;
}
