#include "worker/posting.h"

#include "ipc/taskqueue.h"
#include "worker/codes.h"
#include "worker/order.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

enum {
	PROBE_RETRY_MS = 100, /* the queue is full */
	/* By then a task worker that lives has spoken of what it took before the probe was taken, and that has been read: a timer may be late
	 * because the loop was held, and then runs before anything is read, but not so often in a row. */
	SETTLE_MS = 200,
	SETTLE_TURNS = 5,
	COMPLAIN_MS = 10000,
};

/* Messages of one type, which leave in their order.  Mode 2: those for one task worker; mode 3: all. */
struct lane {
	struct posting *posting;
	struct list orders; /* struct order, as they were put there */
	unsigned n;
	unsigned load;    /* while one is chosen */
	uint64_t probe;   /* the number of the one that is on its way; 0: none */
	unsigned turns;   /* until that is believed */
	uint64_t settled; /* what was put there before that number has been taken */
	char how[160];    /* the last task worker ended that had to do with it */
	struct timer timer;
};

struct posting {
	struct orders *all;
	bool targets; /* mode 2 */
	struct lane *lanes;
	unsigned n_lanes;
	unsigned last; /* chosen lane */
	uint64_t count;
	struct timer gone; /* the queue is: those that stood in it are told, from the loop */
	struct log_every complaints;
};

static struct worker *worker_of(const struct posting *p)
{
	return p->all->worker;
}

/* ---- into the queue ------------------------------------------------------------------------------------------------------------------- */

/* What others have to do counts, too; a task worker that is not there comes last. */
static void weigh(struct posting *p)
{
	const struct settings *s = worker_of(p)->o.settings;

	for (unsigned i = 0; i < p->n_lanes; i++)
		p->lanes[i].load = p->lanes[i].n + (unsigned)s->task_queue_max;
	LS_LIST_EACH (it, &worker_of(p)->colleagues) {
		const struct colleague *c = LS_CONTAINER_OF(it, struct colleague, link);

		if (c->kind == CREW_TASK && colleague_is_ready(c))
			p->lanes[c->slot - s->worker_num].load =
				p->lanes[c->slot - s->worker_num].n +
				LS_MAX((unsigned)board_get(&c->board->in_flight), c->n_orders);
	}
}

static struct lane *choose(struct posting *p)
{
	unsigned best = p->n_lanes;

	weigh(p);
	for (unsigned i = 1; i <= p->n_lanes; i++) {
		unsigned k = (p->last + i) % p->n_lanes;

		if (!p->all->failed[k] && (best == p->n_lanes || p->lanes[k].load < p->lanes[best].load))
			best = k;
	}
	p->last = best < p->n_lanes ? best : 0;
	return &p->lanes[p->last];
}

static struct lane *lane_of_slot(struct posting *p, int slot)
{
	if (!p->targets)
		return &p->lanes[0];
	return slot < 0 ? choose(p) : &p->lanes[(unsigned)slot - (unsigned)worker_of(p)->o.settings->worker_num];
}

static void fail_lane(struct lane *lane, int code, const char *text)
{
	for (struct list *it; (it = list_first(&lane->orders));) {
		struct order *t = LS_CONTAINER_OF(it, struct order, link);

		order_fail(t, code, text);
		order_drop(t);
	}
}

static void on_queue_gone(struct timer *timer)
{
	struct posting *p = LS_CONTAINER_OF(timer, struct posting, gone);

	for (unsigned i = 0; i < p->n_lanes; i++)
		fail_lane(&p->lanes[i], CODE_TASK_NOT_SENT,
		          "the task queue was removed by somebody else, with the task in it");
}

static int push(struct lane *lane, unsigned flags, uint64_t id, unsigned form, struct str data)
{
	struct posting *p = lane->posting;
	const struct worker_opts *o = &worker_of(p)->o;
	struct taskmsg msg = {
		.flags = TASKMSG_ASKED | flags,
		.form = form,
		.asker = { .server = o->server, .generation = o->generation, .id = id, .slot = o->slot },
		.data = data,
	};
	int r = taskqueue_push(o->queue, o->settings->task_tmpdir, 1 + (lane - p->lanes), &msg);
	uint64_t swallowed;

	if (r == 0 || r == -EAGAIN)
		return r;
	if (log_every_due(&p->complaints, COMPLAIN_MS, &swallowed))
		log_error("a task cannot be put into the queue: %s (%llu more)",
		          r == -EINVAL || r == -EIDRM
		                  ? "somebody else has removed it, so the server must be started anew"
		                  : strerror(-r),
		          (unsigned long long)swallowed);
	if (r == -EINVAL || r == -EIDRM)
		timer_set(worker_of(p)->o.loop, &p->gone, 0);
	return r;
}

int posting_put(struct posting *p, struct order *t)
{
	struct lane *lane = lane_of_slot(p, t->slot);
	int r = push(lane, 0, t->id, t->form, str_make(t->data, t->len));

	if (r < 0)
		return r;
	t->number = ++p->count;
	t->lane = lane;
	list_del(&t->link);
	list_append(&lane->orders, &t->link);
	lane->n++;
	return 0;
}

void posting_leave(struct order *t)
{
	if (!t->lane)
		return;
	t->lane->n--;
	t->lane = NULL;
	list_del(&t->link);
}

size_t posting_count(const struct posting *p)
{
	size_t n = 0;

	for (unsigned i = 0; i < p->n_lanes; i++)
		n += p->lanes[i].n;
	return n;
}

/* ---- out of it ------------------------------------------------------------------------------------------------------------------------ */

int posting_on_taken(struct posting *p, struct colleague *c, const struct frame *f)
{
	struct order *t = p ? map_get(&p->all->by_id, f->conn) : NULL;

	if (!p)
		return -EBADMSG;
	if (!t || !t->lane)
		return 0; /* nobody waits for it any more */
	posting_leave(t);
	list_append(&c->orders, &t->link);
	t->at = c;
	t->number = 0; /* it is begun */
	c->n_orders++;
	c->order_bytes += t->len;
	return 0;
}

static void probe(struct lane *lane)
{
	struct posting *p = lane->posting;

	if (lane->n == 0) {
		lane->probe = 0;
		return;
	}
	lane->probe = ++p->count;
	if (push(lane, TASKMSG_PROBE, lane->probe, 0, LS_STR("")) == -EAGAIN)
		timer_set(worker_of(p)->o.loop, &lane->timer, PROBE_RETRY_MS);
}

int posting_on_probed(struct posting *p, const struct frame *f)
{
	if (!p)
		return -EBADMSG;
	for (unsigned i = 0; i < p->n_lanes; i++) {
		struct lane *lane = &p->lanes[i];

		if (lane->probe != f->conn)
			continue;
		lane->probe = 0;
		lane->settled = f->conn;
		lane->turns = SETTLE_TURNS;
		timer_set(worker_of(p)->o.loop, &lane->timer, SETTLE_MS);
	}
	return 0;
}

static void settle(struct lane *lane)
{
	for (struct list *it; (it = list_first(&lane->orders));) {
		struct order *t = LS_CONTAINER_OF(it, struct order, link);

		if (t->number > lane->settled)
			return;
		order_lose(t, lane->how);
	}
}

/* It settles what a probe has shown, or puts one into the queue that was full. */
static void on_timer(struct timer *timer)
{
	struct lane *lane = LS_CONTAINER_OF(timer, struct lane, timer);

	if (lane->probe)
		probe(lane);
	else if (--lane->turns > 0)
		timer_set(worker_of(lane->posting)->o.loop, timer, SETTLE_MS);
	else
		settle(lane);
}

void posting_on_gone(struct posting *p, struct colleague *c, const char *how)
{
	struct order *noted = NULL;
	struct lane *lane;

	if (c->kind != CREW_TASK)
		return;
	if (board_observe(&c->board->fetched_asker) == worker_of(p)->o.generation)
		noted = map_get(&p->all->by_id, board_get(&c->board->fetched_id));
	if (noted && noted->lane) {
		struct frame taken = { .conn = noted->id };

		(void)posting_on_taken(p, c, &taken); /* as it would have said; 0 with a posting */
	}
	lane = lane_of_slot(p, (int)c->slot);
	str_copy(str_from(how), lane->how, sizeof lane->how);
	timer_del(worker_of(p)->o.loop, &lane->timer);
	probe(lane);
}

void posting_on_failed(struct posting *p, unsigned index, bool all)
{
	for (unsigned i = 0; i < p->n_lanes; i++)
		if (all || (p->targets && i == index))
			fail_lane(&p->lanes[i], CODE_TASK_WORKER_DIED, codes_text(CODE_TASK_WORKER_DIED));
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

struct posting *posting_new(struct orders *o)
{
	const struct settings *s = o->worker->o.settings;
	struct posting *p;

	if (o->worker->o.queue < 0)
		return NULL;
	p = xzalloc(sizeof *p);
	p->all = o;
	timer_init(&p->gone, on_queue_gone);
	p->targets = s->task_ipc_mode == TASK_IPC_TARGETS;
	p->n_lanes = p->targets ? (unsigned)s->task_worker_num : 1;
	p->lanes = xzalloc(p->n_lanes * sizeof *p->lanes);
	for (unsigned i = 0; i < p->n_lanes; i++) {
		p->lanes[i].posting = p;
		list_init(&p->lanes[i].orders);
		timer_init(&p->lanes[i].timer, on_timer);
	}
	return p;
}

void posting_free(struct posting *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n_lanes; i++) {
		for (struct list *it; (it = list_first(&p->lanes[i].orders));)
			order_drop(LS_CONTAINER_OF(it, struct order, link));
		timer_del(worker_of(p)->o.loop, &p->lanes[i].timer);
	}
	timer_del(worker_of(p)->o.loop, &p->gone);
	free(p->lanes);
	free(p);
}
