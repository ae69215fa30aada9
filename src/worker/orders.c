#include "worker/orders.h"

#include "base/clock.h"
#include "worker/codes.h"
#include "worker/order.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	WINDOW_MAX = 256,           /* tasks at one task worker */
	WINDOW_BYTES = 1 << 20,     /* and their data, unless it is one */
	QUICK_NS = 2 * 1000 * 1000, /* back so soon: it could have more */
	SLOW_NS = 10 * 1000 * 1000, /* back so late: others should not wait behind it */
	FLUSH_EACH = 16,            /* so many leave together while others are made */
	RETRY_MS = 20,              /* when a link took nothing */
};

/* ---- the end of one ----------------------------------------------------------------------------------------------------------------- */

static void leave_colleague(struct order *t)
{
	if (!t->at)
		return;
	t->at->n_orders--;
	t->at->order_bytes -= t->len;
	t->at = NULL;
}

void order_drop(struct order *t)
{
	struct orders *o = t->all;

	posting_leave(t);
	list_del(&t->link);
	leave_colleague(t);
	timer_del(o->worker->o.loop, &t->deadline);
	(void)map_del(&o->by_id, t->id);
	o->bytes -= t->len;
	free(t);
}

static void tell(struct order *t, const struct packed *result, const struct order_failure *failure, bool last)
{
	struct order_client client = t->client;

	if (t->settled)
		return;
	t->settled = last;
	client.tell(&client, t->all->worker, t->id, result, failure, last);
}

void order_fail(struct order *t, int code, const char *text)
{
	struct order_failure failure = {
		.code = code,
		.worker = t->at ? (int)t->at->slot : -1,
		.pid = t->at ? (pid_t)board_get(&t->at->board->pid) : 0,
		.text = text,
	};

	tell(t, NULL, &failure, true);
}

/* The task worker may be at it for as long as it likes; nobody waits for it. */
static void on_deadline(struct timer *timer)
{
	struct order *t = LS_CONTAINER_OF(timer, struct order, deadline);

	order_fail(t, CODE_TASK_TIMEOUT, t->at ? "the task has not ended in time" : "no task worker was free in time");
	if (!t->at)
		order_drop(t);
}

void orders_forget(struct orders *o, uint64_t id)
{
	struct order *t = map_get(&o->by_id, id);

	if (!t)
		return;
	t->settled = true;
	timer_del(o->worker->o.loop, &t->deadline);
	if (!t->at)
		order_drop(t);
}

/* ---- to a task worker ----------------------------------------------------------------------------------------------------------------- */

/* A task worker that runs all it has at the same time lets none wait behind another. */
static uint64_t window_of(const struct colleague *c)
{
	const struct settings *s = c->worker->o.settings;

	return s->task_enable_coroutine ? s->max_coroutine : c->window;
}

static bool has_room(const struct colleague *c, size_t len)
{
	return c->n_orders == 0 || (c->n_orders < window_of(c) && c->order_bytes + len <= WINDOW_BYTES);
}

/* The one with least to do; of several, the one whose turn is longest ago. */
static struct colleague *choose(struct worker *w, const struct order *t)
{
	struct colleague *best = NULL;
	uint64_t least = UINT64_MAX;

	LS_LIST_EACH (it, &w->colleagues) {
		struct colleague *c = LS_CONTAINER_OF(it, struct colleague, link);
		uint64_t load;

		if (c->kind != CREW_TASK || (t->slot >= 0 && c->slot != (unsigned)t->slot) || !has_room(c, t->len) ||
		    !colleague_is_ready(c))
			continue;
		load = LS_MAX(board_get(&c->board->in_flight) + board_get(&c->board->queued), (uint64_t)c->n_orders);
		if (load < least) {
			least = load;
			best = c;
		}
	}
	if (best) {
		list_del(&best->link);
		list_append(&w->colleagues, &best->link);
	}
	return best;
}

/* -ENOBUFS: its link takes nothing. */
static int send_to(struct order *t, struct colleague *c, uint64_t now_ns)
{
	struct frame f = {
		.type = FRAME_TASK,
		.conn = t->id,
		.arg = (uint32_t)t->form,
		.value = c->orders_sent + 1,
	};
	struct str data = str_make(t->data, t->len);
	int r = link_send(c->line, &f, &data, 1);

	if (r < 0)
		return r;
	list_del(&t->link);
	list_append(&c->orders, &t->link);
	t->at = c;
	t->number = ++c->orders_sent;
	t->sent_ns = now_ns;
	c->n_orders++;
	c->order_bytes += t->len;
	/* It wakes up, or works on these, while this process makes the next. */
	if (c->orders_sent % FLUSH_EACH == 0)
		link_flush(c->line);
	return 0;
}

static unsigned queue_index(const struct orders *o, int slot)
{
	return slot < 0 ? o->n_queues - 1 : (unsigned)slot - (unsigned)o->worker->o.settings->worker_num;
}

/* Where tasks for that slot wait; -1: for any. */
static struct list *queue_of(const struct orders *o, int slot)
{
	return &o->queues[queue_index(o, slot)];
}

/* Whatever comes back from the System V queue goes there again. */
static void post_all(struct orders *o, struct list *queue)
{
	for (struct list *it; (it = list_first(queue));) {
		struct order *t = LS_CONTAINER_OF(it, struct order, link);
		int r = posting_put(o->posting, t);

		if (r == -EAGAIN) {
			timer_set(o->worker->o.loop, &o->retry, RETRY_MS);
			return;
		}
		if (r < 0) {
			order_fail(t, CODE_TASK_NOT_SENT, codes_text(CODE_TASK_NOT_SENT));
			order_drop(t);
		}
	}
}

static void pump(struct orders *o, struct list *queue)
{
	if (o->posting) {
		post_all(o, queue);
		return;
	}

	uint64_t now_ns = list_empty(queue) ? 0 : clock_ns();

	for (struct list *it; (it = list_first(queue));) {
		struct order *t = LS_CONTAINER_OF(it, struct order, link);
		struct colleague *c = choose(o->worker, t);

		if (!c)
			return;
		if (send_to(t, c, now_ns) < 0) {
			timer_set(o->worker->o.loop, &o->retry, RETRY_MS);
			return;
		}
	}
}

static void pump_all(struct orders *o)
{
	for (unsigned i = 0; i < o->n_queues; i++)
		pump(o, &o->queues[i]);
}

static void on_retry(struct timer *timer)
{
	pump_all(LS_CONTAINER_OF(timer, struct orders, retry));
}

static int refuse(const struct orders *o, size_t len, int slot)
{
	const struct settings *s = o->worker->o.settings;

	if (s->task_worker_num == 0)
		return CODE_WRONG_OPERATION;
	if (slot >= 0 && crew_kind(s, (unsigned)slot) != CREW_TASK)
		return CODE_PARAMS;
	if (o->failed[queue_index(o, slot)])
		return CODE_TASK_WORKER_DIED;
	if (o->by_id.count >= s->task_queue_max || o->bytes + len > s->task_queue_size)
		return CODE_QUEUE_FULL;
	return 0;
}

/* 0 or the code of why not, and then it is dropped. */
static int begin_way(struct order *t)
{
	struct orders *o = t->all;
	int r = 0;

	if (!o->posting) {
		list_append(queue_of(o, t->slot), &t->link);
		pump(o, queue_of(o, t->slot));
		return 0;
	}
	r = posting_put(o->posting, t);
	if (r == 0)
		return 0;
	order_drop(t);
	return r == -EAGAIN ? CODE_QUEUE_FULL : CODE_TASK_NOT_SENT;
}

int orders_give(struct orders *o, const struct packed *data, int slot, uint64_t timeout_ms,
                const struct order_client *client, uint64_t *id)
{
	struct worker *w = o->worker;
	struct order *t;
	int r;

	if (w->o.settings->task_ipc_mode == TASK_IPC_SHARED)
		slot = -1;
	r = refuse(o, data->bytes.len, slot);
	if (r)
		return r;
	t = try_alloc(sizeof *t + data->bytes.len);
	if (!t)
		return CODE_NO_MEMORY;
	*t = (struct order){
		.all = o,
		.id = o->next_id++,
		.slot = slot,
		.tries = (unsigned)w->o.settings->task_retry,
		.client = *client,
		.form = data->form,
		.len = data->bytes.len,
	};
	if (t->len)
		memcpy(t->data, data->bytes.p, t->len);
	list_init(&t->link);
	timer_init(&t->deadline, on_deadline);
	if (timeout_ms)
		timer_set(w->o.loop, &t->deadline, timeout_ms);
	map_put(&o->by_id, t->id, t);
	o->bytes += t->len;
	*id = t->id;
	return begin_way(t);
}

/* ---- from task workers ---------------------------------------------------------------------------------------------------------------- */

static struct order *find(struct orders *o, const struct colleague *c, const struct frame *f)
{
	struct order *t = map_get(&o->by_id, f->conn);

	return t && t->at == c ? t : NULL;
}

/* More at a time where they are quick, so that a task worker never waits for the next; few where they are slow. */
static void adapt_window(struct colleague *c, const struct order *t)
{
	uint64_t took = clock_ns() - t->sent_ns;

	if (took > SLOW_NS)
		c->window = LS_MAX(c->window / 2, 1U);
	else if (took < QUICK_NS && c->n_orders >= c->window)
		c->window = LS_MIN(c->window * 2, (unsigned)WINDOW_MAX);
}

static void end(struct order *t)
{
	struct orders *o = t->all;
	int slot = (int)t->at->slot;

	adapt_window(t->at, t);
	order_drop(t);
	pump(o, queue_of(o, slot));
	pump(o, queue_of(o, -1));
}

int orders_on_result(struct orders *o, struct colleague *c, const struct frame *f, struct str payload)
{
	struct packed result = { .bytes = payload, .form = (enum pack_form)f->arg };
	struct order *t = find(o, c, f);
	bool last = f->flags & FRAME_END;

	if (f->arg > PACK_FORMS || (f->arg == PACK_FORMS && !last))
		return -EBADMSG;
	if (!t)
		return 0;
	tell(t, f->arg == PACK_FORMS ? NULL : &result, NULL, last);
	if (last)
		end(t);
	return 0;
}

int orders_on_failed(struct orders *o, struct colleague *c, const struct frame *f, struct str payload)
{
	struct order *t = find(o, c, f);
	char text[1024];

	if (!t)
		return 0;
	str_copy(payload, text, sizeof text);
	order_fail(t, CODE_TASK_FAILED, text);
	end(t);
	return 0;
}

void orders_on_ready(struct orders *o)
{
	pump_all(o);
}

/* In front of those that wait there. */
static void put_first(struct list *queue, struct list *orders)
{
	list_move_all(orders, queue);
	list_move_all(queue, orders);
}

/* Its task worker may have begun it. */
static bool may_try_again(struct order *t)
{
	if (t->settled || t->tries == 0)
		return false;
	t->tries--;
	return true;
}

void order_lose(struct order *t, const char *how)
{
	struct orders *o = t->all;

	if (!may_try_again(t)) {
		order_fail(t, CODE_TASK_WORKER_DIED, how);
		order_drop(t);
		return;
	}
	posting_leave(t);
	list_append(queue_of(o, t->slot), &t->link);
	pump(o, queue_of(o, t->slot));
}

void orders_on_gone(struct orders *o, struct colleague *c, const char *how)
{
	uint64_t begun = colleague_begun(c, BOARD_TASKS);
	struct list own, any;

	list_init(&own);
	list_init(&any);
	if (o->posting) {
		posting_on_gone(o->posting, c, how);
		begun = UINT64_MAX; /* it says that it has one when it begins it */
	}
	LS_LIST_EACH_SAFE (it, after, &c->orders) {
		struct order *t = LS_CONTAINER_OF(it, struct order, link);

		if (t->number > begun ? !t->settled : may_try_again(t)) {
			leave_colleague(t);
			list_del(&t->link);
			list_append(t->slot < 0 ? &any : &own, &t->link);
			continue;
		}
		order_fail(t, CODE_TASK_WORKER_DIED, how);
		order_drop(t);
	}
	put_first(queue_of(o, -1), &any);
	if (!list_empty(&own))
		put_first(queue_of(o, (int)c->slot), &own);
	pump_all(o);
}

static void fail_queue(struct orders *o, unsigned queue)
{
	for (struct list *it; (it = list_first(&o->queues[queue]));) {
		struct order *t = LS_CONTAINER_OF(it, struct order, link);

		order_fail(t, CODE_TASK_WORKER_DIED, codes_text(CODE_TASK_WORKER_DIED));
		order_drop(t);
	}
}

void orders_on_slot(struct orders *o, unsigned slot, bool failed)
{
	bool all = true;

	o->failed[queue_index(o, (int)slot)] = failed;
	for (unsigned i = 0; i < o->n_queues - 1; i++)
		all &= o->failed[i];
	o->failed[o->n_queues - 1] = all;
	for (unsigned i = 0; i < o->n_queues; i++)
		if (o->failed[i])
			fail_queue(o, i);
	if (o->posting && failed)
		posting_on_failed(o->posting, queue_index(o, (int)slot), all);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

struct orders *orders_new(struct worker *w)
{
	struct orders *o = xzalloc(sizeof *o);

	o->worker = w;
	map_init(&o->by_id);
	o->n_queues = (unsigned)w->o.settings->task_worker_num + 1;
	o->queues = xalloc(o->n_queues * sizeof *o->queues);
	o->failed = xzalloc(o->n_queues * sizeof *o->failed);
	for (unsigned i = 0; i < o->n_queues; i++)
		list_init(&o->queues[i]);
	timer_init(&o->retry, on_retry);
	o->posting = posting_new(o);
	return o;
}

size_t orders_count(const struct orders *o)
{
	return o->by_id.count;
}

size_t orders_lasting(const struct orders *o)
{
	return o->posting && o->worker->o.settings->message_queue_key ? posting_count(o->posting) : 0;
}

int orders_on_taken(struct orders *o, struct colleague *c, const struct frame *f)
{
	return posting_on_taken(o->posting, c, f);
}

int orders_on_probed(struct orders *o, const struct frame *f)
{
	return posting_on_probed(o->posting, f);
}

static void drop_all(struct list *orders)
{
	for (struct list *it; (it = list_first(orders));)
		order_drop(LS_CONTAINER_OF(it, struct order, link));
}

void orders_free(struct orders *o)
{
	LS_LIST_EACH (it, &o->worker->colleagues)
		drop_all(&LS_CONTAINER_OF(it, struct colleague, link)->orders);
	for (unsigned i = 0; i < o->n_queues; i++)
		drop_all(&o->queues[i]);
	posting_free(o->posting);
	free(o->queues);
	free(o->failed);
	timer_del(o->worker->o.loop, &o->retry);
	map_fini(&o->by_id);
	free(o);
}
