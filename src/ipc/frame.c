#include "ipc/frame.h"

#include "base/bits.h"

#include <assert.h>
#include <errno.h>

static_assert(sizeof(struct frame) == 32, "frames are written and read by two processes");
static_assert(sizeof(struct frame_open) == 28 && sizeof(struct frame_closed) == 16, "as frames.def says");
static_assert(sizeof(struct frame_file) == 16, "as frames.def says");

struct frame_row {
	const char *name;
	enum frame_dir dir;
	int min;
	int max; /* FRAME_ANY_LEN: as much as the carrier takes */
};

static const struct frame_row rows[] = {
#define FRAME(dir, name, min, max, doc) { #name, FRAME_##dir, min, max },
#include "ipc/frames.def"
#undef FRAME
};

const char *frame_name(unsigned type)
{
	return type < LS_COUNT(rows) ? rows[type].name : "?";
}

int frame_check(const struct frame *f, enum frame_dir dir)
{
	if (f->type >= LS_COUNT(rows))
		return -EBADMSG;

	const struct frame_row *row = &rows[f->type];

	if (row->dir != dir || f->len < (uint32_t)row->min)
		return -EBADMSG;
	if (row->max != FRAME_ANY_LEN && f->len > (uint32_t)row->max)
		return -EBADMSG;
	return 0;
}

bool frame_is_notice(unsigned type)
{
	return type < LS_COUNT(rows) && rows[type].max != FRAME_ANY_LEN;
}
