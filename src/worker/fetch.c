#include "worker/fetch.h"

#include "ipc/taskmsg.h"
#include "loop/post.h"
#include "sys/msgqueue.h"
#include "sys/spool.h"
#include "worker/duties.h"
#include "worker/janitor.h"
#include "worker/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum {
	RETRY_MS = 20,    /* the link to the asker took nothing, or the asker is not known yet */
	MEET_MS = 10000,  /* how long it is waited for */
	INTERRUPT_MS = 2, /* how often the thread is told to end, until it has */
	COMPLAIN_MS = 10000,
};

struct fetch {
	struct worker *worker;
	long type; /* of messages; 0: any */
	pthread_t thread;
	bool started;
	bool asked; /* the thread looks for one, or has one that is not a duty yet */
	bool stopping;
	bool lost; /* the queue is gone */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool want; /* with the lock: the thread is to look for one */
	bool end;  /* and to leave */
	_Atomic bool ended;
	struct mailbox mailbox;
	struct post post;
	ssize_t len; /* of the message; the thread's until it has posted, then the loop's */
	struct msgqueue_message message;
	uint64_t wait_until; /* for the asker to become known; 0: not yet begun to */
	struct timer again;
	struct timer interrupt;
	struct janitor *janitor;
	struct log_every complaints;
};

static const struct settings *settings_of(const struct fetch *f)
{
	return f->worker->o.settings;
}

/* A process of this start of the server asked for it. */
static bool is_ours(const struct fetch *f, const struct taskmsg *t)
{
	return t->flags & TASKMSG_ASKED && t->asker.server == f->worker->o.server;
}

static int read_message(const struct fetch *f, struct taskmsg *t)
{
	return f->len > MSGQUEUE_LEN_MAX ? -EBADMSG : taskmsg_read(str_make(f->message.data, (size_t)f->len), t);
}

/* ---- the thread ------------------------------------------------------------------------------------------------------------------------ */

static bool wait_until_wanted(struct fetch *f)
{
	bool go;

	pthread_mutex_lock(&f->lock);
	while (!f->want && !f->end)
		pthread_cond_wait(&f->changed, &f->lock);
	go = !f->end;
	pthread_mutex_unlock(&f->lock);
	return go;
}

/* As soon as it is out of the queue others can see on our board that we have it. */
static void note(struct fetch *f)
{
	struct board_worker *b = f->worker->o.board;
	struct taskmsg t;

	if (f->len < 0 || read_message(f, &t) < 0 || t.flags & TASKMSG_PROBE)
		return;
	if (!is_ours(f, &t)) {
		board_add(&b->fetched_outside, 1);
		return;
	}
	board_publish(&b->fetched_asker, 0);
	board_publish(&b->fetched_id, t.asker.id);
	board_publish(&b->fetched_asker, t.asker.generation);
}

static void *run(void *ctx)
{
	struct fetch *f = ctx;

	while (wait_until_wanted(f)) {
		ssize_t n = msgqueue_receive(f->worker->o.queue, f->type, true, &f->message);

		if (n == -EINTR)
			continue;
		f->len = n;
		note(f);
		pthread_mutex_lock(&f->lock);
		f->want = false;
		pthread_mutex_unlock(&f->lock);
		mailbox_post(&f->mailbox, &f->post);
	}
	atomic_store(&f->ended, true);
	return NULL;
}

/* ---- what it got ----------------------------------------------------------------------------------------------------------------------- */

static void complain(struct fetch *f, const char *what, const char *why)
{
	uint64_t swallowed;

	if (log_every_due(&f->complaints, COMPLAIN_MS, &swallowed))
		log_warn("a message in the task queue is dropped: %s%s (%llu more)", what, why,
		         (unsigned long long)swallowed);
}

/* All that stood in it has gone; the log says so, and once the slots have failed those who ask are told. */
static void on_queue_gone(struct fetch *f)
{
	f->lost = true;
	log_error("the task queue cannot be read: %s; this task worker ends",
	          f->len == -EIDRM || f->len == -EINVAL ? "somebody has removed it, so the server must be started anew"
	                                                : strerror((int)-f->len));
	f->worker->o.on_finished(f->worker->o.ctx, 1);
}

/* False: it is tried again. */
static bool answer_probe(struct fetch *f, const struct taskmsg *t)
{
	struct colleague *c = colleague_find(f->worker, t->asker.slot, t->asker.generation);
	struct frame answer = { .type = FRAME_TASK_PROBED, .conn = t->asker.id };

	return !c || link_send(c->line, &answer, NULL, 0) != -ENOBUFS;
}

/* What is wrong, or NULL. */
static const char *take_file(struct fetch *f, const struct taskmsg *t, char **data, size_t *len)
{
	ssize_t n = spool_take(settings_of(f)->task_tmpdir, t->data, settings_of(f)->message_max_size, data);

	if (n >= 0) {
		*len = (size_t)n;
		return NULL;
	}
	complain(f, "the file with its data cannot be read from task_tmpdir: ", strerror((int)-n));
	return n == -ENOENT  ? "the file with the task's data has gone from task_tmpdir"
	       : n == -EFBIG ? "the task's data is larger than message_max_size"
	                     : "the file with the task's data cannot be read; the log says why";
}

static const char *take_data(struct fetch *f, const struct taskmsg *t, char **data, size_t *len)
{
	if (t->flags & TASKMSG_FILED)
		return take_file(f, t, data, len);
	if (t->data.len == 0)
		return NULL;
	*data = try_alloc(t->data.len);
	if (!*data) {
		worker_out_of_memory(f->worker, "a task is refused");
		return "the task worker has no memory for it";
	}
	memcpy(*data, t->data.p, t->data.len);
	*len = t->data.len;
	return NULL;
}

/* One that cannot be run fails, if somebody waits for it. */
static void make_duty(struct fetch *f, const struct taskmsg *t)
{
	const struct taskmsg_asker *asker = is_ours(f, t) ? &t->asker : NULL;
	size_t len = 0;
	char *data = NULL;
	const char *failure = take_data(f, t, &data, &len);

	if (!failure && t->form == PACK_VALUE && pack_check(str_make(data, len)) < 0) {
		failure = "the task's data makes no sense";
		complain(f, failure, "");
	}
	if (!failure || asker) {
		duties_take(f->worker->duties, asker, (enum pack_form)t->form, data, len, failure);
		return;
	}
	board_add(&f->worker->o.board->ended_outside, 1);
	free(data);
}

/* The master's word of the asker comes by another way than its task. */
static bool must_wait(struct fetch *f, const struct taskmsg *t)
{
	uint64_t now = loop_now(f->worker->o.loop);

	if (!is_ours(f, t) || colleague_find(f->worker, t->asker.slot, t->asker.generation) ||
	    !strangers_may_come(f->worker->strangers, t->asker.generation))
		return false;
	if (f->wait_until == 0)
		f->wait_until = now + MEET_MS;
	return now < f->wait_until;
}

static void handle(struct fetch *f)
{
	struct taskmsg t;

	if (f->len < 0) {
		on_queue_gone(f);
	} else if (read_message(f, &t) < 0) {
		complain(f, "it is no task as the guide describes them", "");
	} else if (must_wait(f, &t) || (t.flags & TASKMSG_PROBE && is_ours(f, &t) && !answer_probe(f, &t))) {
		timer_set(f->worker->o.loop, &f->again, RETRY_MS);
		return;
	} else if (!(t.flags & TASKMSG_PROBE)) {
		make_duty(f, &t);
	}
	f->asked = false;
	f->wait_until = 0;
}

static void on_message(struct post *p)
{
	handle(LS_CONTAINER_OF(p, struct fetch, post));
}

static void on_again(struct timer *t)
{
	handle(LS_CONTAINER_OF(t, struct fetch, again));
}

void fetch_look(struct fetch *f)
{
	struct worker *w = f->worker;

	if (f->asked || f->stopping || f->lost || !f->started || board_get(&w->o.board->state) != BOARD_READY ||
	    !duties_may_take(w->duties))
		return;
	f->asked = true;
	pthread_mutex_lock(&f->lock);
	f->want = true;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

static void tell_end(struct fetch *f)
{
	pthread_mutex_lock(&f->lock);
	f->end = true;
	pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* It may be in front of the wait, which then begins; so it is told until it has ended. */
static void on_interrupt(struct timer *t)
{
	struct fetch *f = LS_CONTAINER_OF(t, struct fetch, interrupt);
	bool got_one;

	if (!atomic_load(&f->ended)) {
		msgqueue_interrupt(f->thread);
		timer_set(f->worker->o.loop, t, INTERRUPT_MS);
		return;
	}
	pthread_mutex_lock(&f->lock);
	got_one = f->asked && !f->want;
	pthread_mutex_unlock(&f->lock);
	f->asked = got_one;
}

void fetch_stop(struct fetch *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	janitor_free(f->janitor);
	f->janitor = NULL;
	if (!f->started)
		return;
	tell_end(f);
	timer_set(f->worker->o.loop, &f->interrupt, 0);
}

bool fetch_is_quiet(const struct fetch *f)
{
	return !f->started || (atomic_load(&f->ended) && !f->asked && !timer_is_set(&f->interrupt));
}

bool fetch_has_lost_queue(const struct fetch *f)
{
	return f->lost;
}

static int start(struct fetch *f)
{
	int r = mailbox_open(&f->mailbox, f->worker->o.loop);

	if (r < 0)
		return r;
	r = msgqueue_start_thread(&f->thread, run, f);
	if (r < 0) {
		mailbox_close(&f->mailbox);
		loop_turn(f->worker->o.loop, false); /* it ends in a close callback */
	}
	return r;
}

struct fetch *fetch_new(struct worker *w)
{
	bool targets = w->o.settings->task_ipc_mode == TASK_IPC_TARGETS;
	struct fetch *f;
	int r;

	if (w->o.queue < 0 || w->kind != CREW_TASK)
		return NULL;
	f = xzalloc(sizeof *f);
	f->worker = w;
	f->type = targets ? 1 + (long)(w->o.slot - w->o.settings->worker_num) : 0;
	f->post.fn = on_message;
	list_init(&f->post.link);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	timer_init(&f->again, on_again);
	timer_init(&f->interrupt, on_interrupt);
	r = start(f);
	f->started = r == 0;
	if (r < 0)
		log_error("tasks cannot be taken from the queue: %s", strerror(-r));
	f->janitor = janitor_new(w);
	return f;
}

/* What there was no time for. */
static void put_back(struct fetch *f)
{
	struct board_worker *b = f->worker->o.board;
	struct taskmsg t;
	int r;

	if (!f->asked || f->want || f->len < 0 || read_message(f, &t) < 0 || t.flags & TASKMSG_PROBE)
		return;
	r = msgqueue_send(f->worker->o.queue, &f->message, (size_t)f->len);
	if (r < 0)
		log_error("a task that was not begun cannot be put back into the queue: %s", strerror(-r));
	else if (!is_ours(f, &t))
		board_add(&b->ended_outside, 1);
}

/* What is posted now goes back instead. */
static void leave_it(struct post *p LS_UNUSED)
{
}

static void end_thread(struct fetch *f)
{
	struct timespec until;

	tell_end(f);
	do {
		/* Not at once again: a thread that gets signals all the time comes to nothing else. */
		msgqueue_interrupt(f->thread);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += INTERRUPT_MS * 1000 * 1000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
	} while (pthread_timedjoin_np(f->thread, NULL, &until) != 0);
	f->post.fn = leave_it;
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	timer_del(f->worker->o.loop, &f->again);
	timer_del(f->worker->o.loop, &f->interrupt);
	janitor_free(f->janitor);
	if (f->started) {
		end_thread(f);
		put_back(f);
		mailbox_close(&f->mailbox);
		loop_turn(f->worker->o.loop, false); /* it ends in a close callback */
	}
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
