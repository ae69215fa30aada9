/* t/unit/test_frame.c — frames travel in one direction only, with a length of their type. */
#include "ipc/frame.c"

#include "tap.h"

#include <string.h>

static void checks_every_type(void)
{
	for (unsigned type = 0; type < FRAME_TYPES; type++) {
		const struct frame_row *row = &rows[type];
		struct frame f = { .type = (uint16_t)type, .len = (uint32_t)row->min };
		enum frame_dir other = row->dir == FRAME_DOWN ? FRAME_UP : FRAME_DOWN;
		bool held = frame_check(&f, row->dir) == 0 && frame_check(&f, other) == -EBADMSG;

		if (row->min > 0) {
			f.len = (uint32_t)row->min - 1;
			held &= frame_check(&f, row->dir) == -EBADMSG;
		}
		f.len = row->max == FRAME_ANY_LEN ? UINT32_MAX : (uint32_t)row->max;
		held &= frame_check(&f, row->dir) == 0;
		if (row->max != FRAME_ANY_LEN) {
			f.len++;
			held &= frame_check(&f, row->dir) == -EBADMSG;
		}
		ok(held && strcmp(frame_name(type), row->name) == 0, "%s", row->name);
	}
}

static void refuses_what_is_no_type(void)
{
	struct frame f = { .type = FRAME_TYPES };

	ok(frame_check(&f, FRAME_DOWN) == -EBADMSG && frame_check(&f, FRAME_UP) == -EBADMSG, "a type beyond the last");
	f.type = UINT16_MAX;
	ok(frame_check(&f, FRAME_DOWN) == -EBADMSG && strcmp(frame_name(f.type), "?") == 0, "nor any other");
}

int main(void)
{
	checks_every_type();
	refuses_what_is_no_type();
	return tap_done();
}
