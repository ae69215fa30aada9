#include "worker/inquiry.h"

#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <stdlib.h>

enum { PATIENCE_MS = 5000 };

struct question {
	struct list link;
	struct worker *worker;
	struct task *task;
	uint32_t number;
	unsigned waits; /* answers that have not come */
	/* Of one connection. */
	int (*push)(lua_State *L, const struct frame_info *info, struct str uid);
	/* Of a list: what is there, of which the first `settled` are in their final places. */
	conn_id *ids;
	size_t n;
	size_t cap;
	size_t settled;
	size_t wanted;
	uint32_t what;  /* enum frame_ask */
	bool all;       /* page after page of each owner */
	bool close;     /* what was found, at the end */
	conn_id cut;    /* behind this an owner that has more was not heard of; UINT64_MAX: none has */
	unsigned owner; /* who was asked last */
	conn_id after;
};

static void drop(struct question *q)
{
	list_del(&q->link);
	free(q->ids);
	free(q);
}

static void give_up(struct task *t)
{
	drop(t->wait);
}

static struct question *new_question(struct worker *w)
{
	struct question *q = xzalloc(sizeof *q);

	q->worker = w;
	q->task = sched_current(w->sched);
	q->number = ++w->asked;
	list_append(&w->questions, &q->link);
	return q;
}

/* True: there will be an answer. */
static bool ask(struct question *q, struct link *line, uint32_t what, conn_id conn, uint64_t value)
{
	struct frame f = { .type = FRAME_ASK, .conn = conn, .stream = q->number, .arg = what, .value = value };

	if (!line || link_send(line, &f, NULL, 0) < 0)
		return false;
	q->waits += line->ends;
	return line->ends > 0;
}

/* ---- lists ------------------------------------------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	conn_id x = *(const conn_id *)a, y = *(const conn_id *)b;

	return x < y ? -1 : x > y;
}

/* The next one who may have some; false: all were asked. */
static bool ask_next(struct question *q)
{
	for (; q->owner < SLOTS_OWNERS; q->owner++, q->after = 0) {
		uint64_t wanted = q->all ? INQUIRY_LIST_MAX : q->wanted - q->settled;

		/* In base mode an older process of this worker's own slot may have some, too. */
		if (ask(q, q->worker->links[q->owner], q->what, q->after, wanted) |
		    ask(q, q->worker->peers[q->owner], q->what, q->after, wanted))
			return true;
	}
	return false;
}

static int push_list(lua_State *L, const struct question *q)
{
	lua_createtable(L, (int)q->n, 0);
	for (size_t i = 0; i < q->n; i++) {
		lua_pushnumber(L, (lua_Number)q->ids[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

static void add_ids(struct question *q, struct str payload)
{
	size_t n = payload.len / sizeof(conn_id);

	if (q->n + n > q->cap) {
		q->cap = q->n + n;
		q->ids = xrealloc(q->ids, q->cap * sizeof *q->ids);
	}
	if (n)
		memcpy(q->ids + q->n, payload.p, n * sizeof *q->ids);
	q->n += n;
}

static void finish(struct question *q)
{
	for (size_t i = 0; q->close && i < q->n; i++)
		(void)session_close(q->worker, q->ids[i], false); /* one that is closing already is as good */
	sched_wake(q->task, push_list(q->task->L, q));
	drop(q);
}

/* All processes of one owner have answered, during a reload of base mode there are two. */
static void settle(struct question *q)
{
	conn_id cut = q->cut;

	if (q->n > q->settled)
		qsort(q->ids + q->settled, q->n - q->settled, sizeof *q->ids, by_id);
	q->n = LS_MIN(q->n, q->wanted);
	while (cut != UINT64_MAX && q->n > q->settled && q->ids[q->n - 1] > cut)
		q->n--;
	q->settled = q->n;
	q->cut = UINT64_MAX;
	q->after = cut == UINT64_MAX ? 0 : cut;
	if (cut == UINT64_MAX)
		q->owner++;
	if (q->n == q->wanted || !ask_next(q))
		finish(q);
}

static struct question *new_list(struct worker *w, conn_id after, uint32_t what)
{
	struct question *q = new_question(w);

	q->what = what;
	q->cut = UINT64_MAX;
	q->owner = conn_id_owner(after);
	q->after = after;
	return q;
}

static int begin_list(struct question *q, lua_State *L, const char *what)
{
	if (ask_next(q))
		return sched_park(L, what, give_up, q, PATIENCE_MS);
	drop(q);
	lua_newtable(L);
	return 1;
}

int inquiry_list(struct worker *w, lua_State *L, conn_id after, unsigned n)
{
	struct question *q;

	if (!sched_may_park(L))
		return sched_park(L, "server:get_client_list", NULL, NULL, 0); /* which says why not */
	q = new_list(w, after, FRAME_ASK_LIST);
	q->wanted = n;
	return begin_list(q, L, "server:get_client_list");
}

int inquiry_silent(struct worker *w, lua_State *L, bool close)
{
	struct question *q;

	if (!sched_may_park(L))
		return sched_park(L, "server:heartbeat", NULL, NULL, 0); /* which says why not */
	q = new_list(w, 0, FRAME_ASK_SILENT);
	q->all = true;
	q->close = close;
	q->wanted = SIZE_MAX;
	return begin_list(q, L, "server:heartbeat");
}

static void take_list(struct question *q, struct str payload)
{
	add_ids(q, payload);
	if (q->all && payload.len / sizeof(conn_id) >= INQUIRY_LIST_MAX)
		q->cut = LS_MIN(q->cut, q->ids[q->n - 1]);
	if (q->waits == 0)
		settle(q);
}

/* ---- one connection ------------------------------------------------------------------------------------------------------------ */

static void take_info(struct question *q, struct str payload)
{
	struct frame_info info;

	if (payload.len < sizeof info && q->waits > 0)
		return; /* another process of that owner may have it */
	if (payload.len < sizeof info) {
		sched_wake(q->task, q->push(q->task->L, NULL, (struct str){ 0 }));
	} else {
		memcpy(&info, payload.p, sizeof info);
		sched_wake(q->task, q->push(q->task->L, &info, str_skip(payload, sizeof info)));
	}
	drop(q);
}

int inquiry_info(struct worker *w, lua_State *L, conn_id id, const char *what,
                 int (*push)(lua_State *L, const struct frame_info *info, struct str uid))
{
	struct link *own = w->links[conn_id_owner(id)], *peer = w->peers[conn_id_owner(id)];
	struct question *q;

	if ((!own && !peer) || sched_is_plain(w->sched))
		return push(L, NULL, (struct str){ 0 }); /* plain handlers cannot wait: they know their worker's own */
	if (!sched_may_park(L))
		return sched_park(L, what, NULL, NULL, 0); /* which says why not */
	q = new_question(w);
	q->push = push;
	if (ask(q, own, FRAME_ASK_INFO, id, 0) | ask(q, peer, FRAME_ASK_INFO, id, 0))
		return sched_park(L, what, give_up, q, PATIENCE_MS);
	drop(q);
	return push(L, NULL, (struct str){ 0 });
}

/* ---- answers --------------------------------------------------------------------------------------------------------------------- */

void inquiry_on_answer(struct worker *w, const struct frame *f, struct str payload)
{
	LS_LIST_EACH (it, &w->questions) {
		struct question *q = LS_CONTAINER_OF(it, struct question, link);

		if (q->number != f->stream || q->waits == 0)
			continue;
		q->waits--;
		if (q->push)
			take_info(q, payload);
		else
			take_list(q, payload);
		return;
	}
}
