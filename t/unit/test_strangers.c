/* t/unit/test_strangers.c — what a process says before the master has told of it is handled afterwards, in order; that of one that has gone is not. */
#define worker_on_side note_frame
#include "worker/strangers.c"

#include "tap.h"

#include <errno.h>
#include <stdio.h>

static char seen[256];

int note_frame(struct worker *w, unsigned slot, uint64_t generation, const struct frame *f, struct str payload)
{
	size_t len = strlen(seen);

	(void)w;
	snprintf(seen + len, sizeof seen - len, "%u/%u:%u%.*s ", slot, (unsigned)generation, (unsigned)f->conn,
	         LS_STR_ARG(payload));
	return f->type == FRAME_COMMAND ? -EBADMSG : 0;
}

static bool keeps(struct strangers *s, unsigned slot, uint64_t generation, uint16_t type, uint64_t id, const char *text)
{
	struct frame f = { .type = type, .conn = id };

	return strangers_keep(s, slot, generation, &f, str_from(text));
}

int main(void)
{
	struct worker *w = xzalloc(sizeof *w);
	struct strangers *s;

	w->o.generation = 5;
	s = strangers_new(w);
	ok(!strangers_may_come(s, 4) && !strangers_may_come(s, 5) && strangers_may_come(s, 6),
	   "those younger than this process may come");
	ok(!keeps(s, 1, 4, FRAME_RESULT, 1, "old"), "what an older one says is not kept: it has gone");
	ok(!keeps(s, 1, 7, FRAME_HELLO, 1, ""), "nor is a HELLO, which comes again");
	ok(keeps(s, 2, 7, FRAME_TASK_TAKEN, 1, "") && keeps(s, 1, 8, FRAME_TASK_TAKEN, 2, "") &&
	           keeps(s, 2, 7, FRAME_RESULT, 1, "x"),
	   "what younger ones say of tasks is");
	strangers_meet(s, 3, 6);
	ok(strcmp(seen, "") == 0, "until they are known");
	strangers_meet(s, 2, 7);
	ok(strcmp(seen, "2/7:1 2/7:1x ") == 0, "then it is handled, in order: %s", seen);
	ok(keeps(s, 1, 9, FRAME_RESULT, 3, "lost"), "one more");
	strangers_meet(s, 1, 10);
	ok(strcmp(seen, "2/7:1 2/7:1x ") == 0 && !strangers_may_come(s, 9), "those that were passed over have gone");
	ok(keeps(s, 1, 11, FRAME_RESULT, 4, "end"), "and what is kept at the end");
	strangers_free(s);
	free(w);
	return tap_done();
}
