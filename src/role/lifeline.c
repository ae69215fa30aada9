#include "role/lifeline.h"

#include "sys/fd.h"
#include "sys/sig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

enum { GRACE_MS = 1000, STACK_BYTES = 256 * 1024 };

static void *wait_for_end(void *arg)
{
	struct pollfd end = { .fd = (int)(intptr_t)arg, .events = POLLRDHUP };

	sig_block_all();
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	/* The main thread has seen it too, if it is able to see anything, and leaves in order. */
	poll(NULL, 0, GRACE_MS);
	_exit(1);
}

int lifeline_start(int control)
{
	pthread_attr_t attr;
	pthread_t thread;
	int fd = fcntl(control, F_DUPFD_CLOEXEC, 4); /* the main thread may close its own */
	int r;

	if (fd < 0)
		return -errno;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&thread, &attr, wait_for_end, (void *)(intptr_t)fd);
	pthread_attr_destroy(&attr);
	if (r)
		fd_close(&fd);
	return -r;
}
