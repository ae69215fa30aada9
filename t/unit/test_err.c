/* t/unit/test_err.c — errors carry a code and a sentence, gain context, and are cut rather than overrun. */
#include "base/err.c"

#include "tap.h"

#include <errno.h>

static void carries_a_sentence(void)
{
	struct err err = { 0 };

	ok(err_set(&err, -EINVAL, "port %d is taken", 80) == -EINVAL, "the code is returned");
	ok(err.code == -EINVAL && strcmp(err.text, "port 80 is taken") == 0, "and kept with the text");
	ok(err_wrap(&err, "line %d", 3) == -EINVAL, "context keeps the code");
	ok(strcmp(err.text, "line 3: port 80 is taken") == 0, "and stands before the text");
	ok(err_set(NULL, -EIO, "nobody %s", "listens") == -EIO, "NULL takes no text");
}

static void may_quote_itself(void)
{
	struct err err = { 0 };

	err_set(&err, -EIO, "inner");
	err_set(&err, -EPERM, "outer (%s)", err.text);
	ok(strcmp(err.text, "outer (inner)") == 0, "an argument may be the old text");
	err_wrap(&err, "again %s", err.text);
	ok(strcmp(err.text, "again outer (inner): outer (inner)") == 0, "when wrapping too");
}

static void is_cut(void)
{
	static char lengthy[5000];
	struct err err = { 0 };

	memset(lengthy, 'x', sizeof lengthy - 1);
	err_set(&err, -EIO, "%s", lengthy);
	ok(strlen(err.text) == sizeof err.text - 1, "a long text is cut");
	err_wrap(&err, "head");
	ok(strlen(err.text) == sizeof err.text - 1 && strncmp(err.text, "head: xx", 8) == 0,
	   "its end gives way to context");
	err_wrap(&err, "%s", lengthy);
	ok(strlen(err.text) == sizeof err.text - 1 && err.code == -EIO, "a long context is cut");
}

int main(void)
{
	carries_a_sentence();
	may_quote_itself();
	is_cut();
	return tap_done();
}
