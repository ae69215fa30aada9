#include "role/taskbox.h"

#include "base/log.h"
#include "ipc/ctl.h"
#include "ipc/taskqueue.h"
#include "sys/fd.h"
#include "sys/msgqueue.h"
#include "sys/sig.h"
#include "sys/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

enum { UNSENT_SECONDS = 60, STACK_BYTES = 256 * 1024 };

/* ---- the master -------------------------------------------------------------------------------- */

static void tell_old(const struct taskbox *b, const struct msgqueue_state *state)
{
	if (state->messages)
		log_notice("the task queue with message_queue_key 0x%08" PRIx32 " holds %" PRIu64
		           " messages from before",
		           b->key, state->messages);
}

static int prepare(struct taskbox *b, struct err *err)
{
	struct msgqueue_state state;
	int r = spool_prepare(b->dir, err);

	if (r == 0 && pipe2(b->leash, O_CLOEXEC) < 0)
		r = err_set(err, -errno, "no descriptor is left for the task queue: %s", strerror(errno));
	if (r == 0)
		r = msgqueue_read_state(b->id, &state);
	if (r < 0)
		return r;
	tell_old(b, &state);
	/* Where no message is there is no file that one names, but for those that are being written. */
	(void)spool_sweep(b->dir, b->id, state.messages == 0 ? time(NULL) - UNSENT_SECONDS : 0);
	log_info("the task queue (id %d) holds up to %" PRIu64 " bytes, as kernel.msgmnb said when it was made", b->id,
	         state.bytes_max);
	return 0;
}

int taskbox_open(struct taskbox *b, const struct settings *s, struct err *err)
{
	int r;

	*b = (struct taskbox){
		.id = -1, .key = (uint32_t)s->message_queue_key, .leash = { -1, -1 }, .dir = s->task_tmpdir
	};
	if (s->task_ipc_mode == TASK_IPC_DIRECT || s->task_worker_num == 0)
		return 0;
	while (b->server == 0)
		if (getrandom(&b->server, sizeof b->server, 0) < 0 && errno != EINTR)
			return err_set(err, -errno, "the kernel gives no random numbers: %s", strerror(errno));
	b->id = taskqueue_open(b->key, err);
	if (b->id < 0)
		return b->id;
	r = prepare(b, err);
	if (r < 0)
		taskbox_close(b);
	return r;
}

void taskbox_close(struct taskbox *b)
{
	struct msgqueue_state state;

	fd_close(&b->leash[0]);
	fd_close(&b->leash[1]);
	if (b->id < 0)
		return;
	if (!b->key) {
		msgqueue_remove(b->id);
		(void)spool_sweep(b->dir, b->id, time(NULL) + 1);
	} else if (msgqueue_read_state(b->id, &state) == 0 && state.messages) {
		log_notice("%" PRIu64 " messages stay in the task queue with message_queue_key 0x%08" PRIx32
		           " for the next start",
		           state.messages, b->key);
	}
	b->id = -1;
}

int taskbox_send(const struct taskbox *b, int control)
{
	struct ctl_msg m = {
		.type = CTL_QUEUE, .value = (uint64_t)b->id, .extra = b->server, .n_fds = 1, .fds = { b->leash[0] }
	};

	return b->id < 0 ? 0 : ctl_send(control, &m);
}

/* ---- other processes ---------------------------------------------------------------------------- */

static struct {
	int queue;
	int leash; /* -1: nothing to guard */
} guard = { -1, -1 };

/* Nobody writes to the leash, so it can only end. */
static bool master_has_gone(int timeout_ms)
{
	struct pollfd end = { .fd = guard.leash, .events = POLLIN };
	int n;

	do
		n = poll(&end, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

static void *wait_for_master(void *arg LS_UNUSED)
{
	sig_block_all();
	if (master_has_gone(-1))
		msgqueue_remove(guard.queue);
	return NULL;
}

int taskbox_guard(int queue, int leash)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (guard.leash >= 0) {
		fd_close(&leash);
		return -EALREADY;
	}
	guard.queue = queue;
	guard.leash = leash;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&thread, &attr, wait_for_master, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

/* The thread may not have come to it. */
void taskbox_end_guard(void)
{
	if (guard.leash >= 0 && master_has_gone(0))
		msgqueue_remove(guard.queue);
}
