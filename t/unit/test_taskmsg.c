/* t/unit/test_taskmsg.c — tasks as messages of a queue: what is written is read, and of what others write everything else is refused. */
#include "ipc/taskmsg.c"

#include "tap.h"

#include <stdlib.h>

static char bytes[256];
static struct taskmsg in;

static bool travels(const struct taskmsg *out)
{
	ssize_t len = taskmsg_write(out, bytes, sizeof bytes);

	return len > 0 && taskmsg_read(str_make(bytes, (size_t)len), &in) == 0 && in.flags == out->flags &&
	       in.form == out->form && memcmp(&in.asker, &out->asker, sizeof in.asker) == 0 &&
	       str_eq(in.data, out->data);
}

static bool is_refused(struct str from)
{
	return taskmsg_read(from, &in) == -EBADMSG;
}

static void what_is_written(void)
{
	struct taskmsg t = { .data = LS_STR("hello") };

	ok(travels(&t), "a task of nobody");
	ok(taskmsg_read(LS_STR("LSQ1\0\0\0\0hello"), &in) == 0 && str_eq(in.data, LS_STR("hello")),
	   "as docs/guide/tasks.md shows it");
	t.data = LS_STR("");
	ok(travels(&t), "without data");
	t = (struct taskmsg){ TASKMSG_ASKED, 1, { UINT64_MAX, 2, 3, 4, 0 }, LS_STR("packed") };
	ok(travels(&t), "one that somebody waits for");
	t = (struct taskmsg){ TASKMSG_ASKED | TASKMSG_PROBE, 0, { 1, 2, 3, 4, 0 }, LS_STR("") };
	ok(travels(&t), "a probe");
	t = (struct taskmsg){ .flags = TASKMSG_FILED, .data = LS_STR("luaserv.task.32769.a0Zxyz") };
	ok(travels(&t), "a file");
	t.data = str_make(bytes, sizeof bytes);
	ok(taskmsg_write(&t, bytes, sizeof bytes) == -EMSGSIZE, "what does not fit");
}

static void what_is_refused(void)
{
	struct taskmsg t = { TASKMSG_ASKED, 0, { 1, 2, 3, 4, 0 }, LS_STR("") };
	size_t len = (size_t)taskmsg_write(&t, bytes, sizeof bytes);

	for (size_t n = 0; n < len; n++)
		if (!is_refused(str_make(bytes, n)))
			ok(false, "the first %zu bytes of one", n);
	ok(is_refused(LS_STR("LSQ2\0\0\0\0hello")), "another version");
	ok(is_refused(LS_STR("LSQ1\10\0\0\0hello")), "a flag that is none");
	ok(is_refused(LS_STR("LSQ1\0\2\0\0hello")), "a form that is none");
	ok(is_refused(LS_STR("LSQ1\0\0\1\0hello")) && is_refused(LS_STR("LSQ1\0\0\0\1hello")), "bytes that are not 0");
	ok(is_refused(LS_STR("LSQ1\4\0\0\0")), "a probe of nobody");
	ok(is_refused(LS_STR("LSQ1\2\0\0\0/etc/passwd")), "a file elsewhere");
	ok(is_refused(LS_STR("LSQ1\2\0\0\0luaserv.task.1.a/../b")), "a path");
	ok(is_refused(LS_STR("LSQ1\2\0\0\0luaserv.task.1.abcdef\0x")), "a name that goes on behind its end");
}

int main(void)
{
	what_is_written();
	what_is_refused();
	return tap_done();
}
