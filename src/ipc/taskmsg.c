#include "ipc/taskmsg.h"

#include "sys/spool.h"

#include <assert.h>
#include <errno.h>

static_assert(sizeof(struct taskmsg_asker) == 32, "as docs/guide/tasks.md says");

static const char magic[] = { 'L', 'S', 'Q', '1' };

ssize_t taskmsg_write(const struct taskmsg *t, char *out, size_t cap)
{
	const char head[TASKMSG_HEAD] = { magic[0], magic[1], magic[2], magic[3], (char)t->flags, (char)t->form };
	size_t asker = t->flags & TASKMSG_ASKED ? sizeof t->asker : 0;
	size_t len = sizeof head + asker + t->data.len;

	if (len > cap)
		return -EMSGSIZE;
	memcpy(out, head, sizeof head);
	memcpy(out + sizeof head, &t->asker, asker);
	if (t->data.len)
		memcpy(out + sizeof head + asker, t->data.p, t->data.len);
	return (ssize_t)len;
}

static bool is_whole(const struct taskmsg *t)
{
	bool asked = t->flags & TASKMSG_ASKED;

	if (asked && (t->asker.server == 0 || t->asker.unused))
		return false;
	if (t->flags & TASKMSG_PROBE)
		return t->flags == (TASKMSG_PROBE | TASKMSG_ASKED) && t->data.len == 0;
	return !(t->flags & TASKMSG_FILED) || spool_is_name(t->data);
}

int taskmsg_read(struct str bytes, struct taskmsg *out)
{
	*out = (struct taskmsg){ 0 };
	if (bytes.len < TASKMSG_HEAD || memcmp(bytes.p, magic, sizeof magic) != 0 || bytes.p[6] || bytes.p[7])
		return -EBADMSG;
	out->flags = (uint8_t)bytes.p[4];
	out->form = (uint8_t)bytes.p[5];
	if (out->flags & ~(unsigned)(TASKMSG_ASKED | TASKMSG_FILED | TASKMSG_PROBE) || out->form >= TASKMSG_FORMS)
		return -EBADMSG;
	bytes = str_skip(bytes, TASKMSG_HEAD);
	if (out->flags & TASKMSG_ASKED) {
		if (bytes.len < sizeof out->asker)
			return -EBADMSG;
		memcpy(&out->asker, bytes.p, sizeof out->asker);
		bytes = str_skip(bytes, sizeof out->asker);
	}
	out->data = bytes;
	return is_whole(out) ? 0 : -EBADMSG;
}
