#include "worker/janitor.h"

#include "ipc/taskmsg.h"
#include "sys/msgqueue.h"
#include "sys/spool.h"
#include "worker/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
	LOOK_MS = 60000,
	RETRY_MS = 20,       /* the queue was full */
	UNSENT_SECONDS = 60, /* so old a file has been sent, or never will be */
	LOOK_MAX = 1000,     /* messages at a time */
	COMPLAIN_MS = 10000,
};

struct janitor {
	struct worker *worker;
	struct timer timer;
	time_t empty_at; /* when the queue was seen empty; 0: it was not */
	bool holds;      /* `message` is to be put back */
	size_t len;
	struct msgqueue_message message;
	struct log_every complaints;
};

static int queue_of(const struct janitor *j)
{
	return j->worker->o.queue;
}

/* ---- files --------------------------------------------------------------------------------------------------------------------------- */

/* The message of a file that was old when the queue was empty had been taken by then, a while ago. */
static void sweep_files(struct janitor *j)
{
	const char *dir = j->worker->o.settings->task_tmpdir;
	struct msgqueue_state state;
	unsigned n = spool_sweep(dir, queue_of(j), j->empty_at ? j->empty_at - UNSENT_SECONDS : 0);

	if (n)
		log_warn(
			"%u files with data of tasks were removed from task_tmpdir; those who wrote or took them had died",
			n);
	if (msgqueue_read_state(queue_of(j), &state) == 0)
		j->empty_at = state.messages == 0 ? time(NULL) : 0;
}

/* ---- messages for nobody ------------------------------------------------------------------------------------------------------------- */

/* False: the queue is full. */
static bool put_back(struct janitor *j)
{
	int r = msgqueue_send(queue_of(j), &j->message, j->len);

	j->holds = r == -EAGAIN;
	if (r < 0 && r != -EAGAIN)
		log_error("a message cannot be put back into the task queue: %s", strerror(-r));
	return !j->holds;
}

/* It was taken.  False: the queue is full. */
static bool redirect(struct janitor *j, ssize_t len)
{
	long n = (long)j->worker->o.settings->task_worker_num;
	struct taskmsg t;
	uint64_t swallowed;
	bool sound = len <= MSGQUEUE_LEN_MAX && taskmsg_read(str_make(j->message.data, (size_t)len), &t) == 0;

	if (log_every_due(&j->complaints, COMPLAIN_MS, &swallowed))
		log_warn("a message in the task queue is for task worker %ld, but there are only %ld; %s (%" PRIu64
		         " more)",
		         j->message.type - 1, n, sound ? "another one gets it" : "it is no task, and is dropped",
		         swallowed);
	if (!sound)
		return true;
	j->message.type = 1 + (j->message.type - 1) % n;
	j->len = (size_t)len;
	return put_back(j);
}

/* False: the queue is full. */
static bool redirect_strays(struct janitor *j)
{
	long n = (long)j->worker->o.settings->task_worker_num;

	for (long i = 0, looked = 0; looked < LOOK_MAX && msgqueue_peek(queue_of(j), i, &j->message) >= 0; looked++) {
		ssize_t len = -EAGAIN;

		if (j->message.type > n)
			len = msgqueue_receive(queue_of(j), j->message.type, false, &j->message);
		if (len < 0)
			i++; /* it stays there */
		else if (!redirect(j, len))
			return false;
	}
	return true;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

static void on_timer(struct timer *timer)
{
	struct janitor *j = LS_CONTAINER_OF(timer, struct janitor, timer);
	bool targets = j->worker->o.settings->task_ipc_mode == TASK_IPC_TARGETS;
	bool done = (!j->holds || put_back(j)) && (!targets || redirect_strays(j));

	if (done)
		sweep_files(j);
	timer_set(j->worker->o.loop, timer, done ? LOOK_MS : RETRY_MS);
}

struct janitor *janitor_new(struct worker *w)
{
	struct janitor *j;

	if (w->o.slot != w->o.settings->worker_num)
		return NULL;
	j = xzalloc(sizeof *j);
	j->worker = w;
	timer_init(&j->timer, on_timer);
	timer_set(w->o.loop, &j->timer, 0);
	return j;
}

void janitor_free(struct janitor *j)
{
	if (!j)
		return;
	timer_del(j->worker->o.loop, &j->timer);
	if (j->holds && !put_back(j))
		log_error("a message for a task worker that is not there is lost: the task queue is full");
	free(j);
}
