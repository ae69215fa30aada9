/* t/unit/test_post.c — calls from many threads run in the loop's thread, each once, each sender's in order. */
#include "loop/post.c"

#include "tap.h"

#include "base/mem.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SENDERS = 4, EACH = 25000, ROUNDS = 300 };

struct receiver {
	struct loop loop;
	struct mailbox mailbox;
	pthread_t thread;
};

struct numbered {
	struct post post;
	struct receiver *to;
	unsigned sender;
	unsigned number;
};

static unsigned next_of[SENDERS], disorder, received;
static pthread_t receiving;

static void *receive(void *arg)
{
	struct receiver *r = arg;

	loop_run(&r->loop);
	loop_fini(&r->loop);
	return NULL;
}

static void start(struct receiver *r)
{
	loop_init(&r->loop);
	mailbox_open(&r->mailbox, &r->loop);
	pthread_create(&r->thread, NULL, receive, r);
}

static void run_stop(struct post *p)
{
	struct numbered *n = LS_CONTAINER_OF(p, struct numbered, post);

	mailbox_close(&n->to->mailbox);
	loop_stop(&n->to->loop);
	free(n);
}

static struct numbered *new_post(struct receiver *r, void (*fn)(struct post *p))
{
	struct numbered *n = xzalloc(sizeof *n);

	n->post.fn = fn;
	n->to = r;
	return n;
}

static void stop(struct receiver *r)
{
	mailbox_post(&r->mailbox, &new_post(r, run_stop)->post);
	pthread_join(r->thread, NULL);
}

static void run_numbered(struct post *p)
{
	struct numbered *n = LS_CONTAINER_OF(p, struct numbered, post);

	disorder += n->number != next_of[n->sender] || !pthread_equal(pthread_self(), n->to->thread);
	next_of[n->sender]++;
	received++;
	free(n);
}

struct sender {
	struct receiver *to;
	unsigned number;
	pthread_t thread;
};

static void *send_many(void *arg)
{
	struct sender *s = arg;

	for (unsigned i = 0; i < EACH; i++) {
		struct numbered *n = new_post(s->to, run_numbered);

		n->sender = s->number;
		n->number = i;
		mailbox_post(&s->to->mailbox, &n->post);
		if (i % 1000 == 0)
			sched_yield();
	}
	return NULL;
}

static void takes_from_many_threads(void)
{
	static struct receiver r;
	struct sender senders[SENDERS];

	start(&r);
	receiving = r.thread;
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ .to = &r, .number = i };
		pthread_create(&senders[i].thread, NULL, send_many, &senders[i]);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(senders[i].thread, NULL);
	stop(&r);
	ok(received == SENDERS * EACH && disorder == 0, "%u calls from %d threads, each once and in order", received,
	   SENDERS);
}

/* A round trip for each call: the loop must wake for a lone one. */
static atomic_uint answered;

static void run_answer(struct post *p)
{
	free(LS_CONTAINER_OF(p, struct numbered, post));
	atomic_fetch_add(&answered, 1);
}

static void wakes_for_a_lone_call(void)
{
	static struct receiver r;

	start(&r);
	for (unsigned i = 0; i < 5000; i++) {
		mailbox_post(&r.mailbox, &new_post(&r, run_answer)->post);
		while (atomic_load(&answered) <= i)
			sched_yield();
	}
	stop(&r);
	ok(atomic_load(&answered) == 5000, "5000 lone calls, none forgotten");
}

/* The end of a loop is itself a call; the thread that posted it may still be inside mailbox_post(). */
static void ends_by_a_call(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct receiver *r = xzalloc(sizeof *r);

		start(r);
		for (unsigned k = 0; k < i % 4; k++)
			mailbox_post(&r->mailbox, &new_post(r, run_answer)->post);
		stop(r);
		free(r);
	}
	ok(true, "%d loops ended by their last call", ROUNDS);
}

static unsigned nested;

static void run_inner(struct post *p)
{
	nested++;
	free(LS_CONTAINER_OF(p, struct numbered, post));
}

static void run_outer(struct post *p)
{
	struct numbered *n = LS_CONTAINER_OF(p, struct numbered, post);

	nested++;
	mailbox_post(&n->to->mailbox, &new_post(n->to, run_inner)->post);
	free(n);
}

static void posts_from_within(void)
{
	static struct receiver r;

	loop_init(&r.loop);
	mailbox_open(&r.mailbox, &r.loop);
	mailbox_post(&r.mailbox, &new_post(&r, run_outer)->post);
	ok(nested == 0, "a call is never made at once");
	for (int i = 0; i < 10 && nested < 2; i++)
		loop_turn(&r.loop, false);
	ok(nested == 2, "a call may post another");
	mailbox_post(&r.mailbox, &new_post(&r, run_inner)->post);
	mailbox_close(&r.mailbox);
	ok(nested == 3, "closing makes the calls that wait");
	loop_fini(&r.loop);
}

int main(void)
{
	takes_from_many_threads();
	wakes_for_a_lone_call();
	ends_by_a_call();
	posts_from_within();
	return tap_done();
}
