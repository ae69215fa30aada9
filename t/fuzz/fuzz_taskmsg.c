/* What any program may have put into the queue of tasks. */
#include "ipc/taskmsg.h"
#include "sys/spool.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1); /* so that ASan sees its end */
	char *again = malloc(size ? size : 1);
	volatile char sum = 0;
	struct taskmsg t;

	if (size)
		memcpy(exact, data, size);
	if (taskmsg_read(str_make(exact, size), &t) == 0) {
		for (size_t i = 0; i < t.data.len; i++)
			sum = (char)(sum + t.data.p[i]); /* every byte can be read */
		if (t.flags & TASKMSG_FILED && (!spool_is_name(t.data) || memchr(t.data.p, '/', t.data.len)))
			abort();
		/* There is one way to write each. */
		if (taskmsg_write(&t, again, size) != (ssize_t)size || memcmp(exact, again, size) != 0)
			abort();
	}
	free(exact);
	free(again);
	return 0;
}
