#include "worker/messages.h"

#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/intake.h"
#include "worker/runtime.h"

#include <stdlib.h>

enum {
	PRUNE_MS = 20,    /* how often receivers' boards are looked at while something is kept */
	PRUNE_EACH = 128, /* and with every so many messages */
};

/* One to be sent, or sent and kept. */
struct message {
	struct list link;  /* box.waiting, colleague.messages, or box.parked */
	struct task *task; /* parked until there is room; NULL: accepted */
	struct box *box;
	uint64_t number;
	enum message_to to;
	enum pack_form form;
	size_t len;
	char data[];
};

/* What is meant for one slot. */
struct box {
	struct messages *all;
	struct list waiting; /* no process is ready, or its link takes nothing */
	struct list parked;  /* their senders wait */
	size_t bytes;        /* waiting and kept */
};

/* Whose, and which one it is. */
struct origin {
	unsigned slot;
	uint64_t generation;
	uint64_t number;
	enum message_to to;
};

/* One that came and could not be begun yet. */
struct letter {
	struct list link;
	struct origin from;
	enum pack_form form;
	size_t len;
	char data[];
};

struct messages {
	struct worker *worker;
	struct box *boxes; /* by slot */
	unsigned n_boxes;
	size_t pending;
	unsigned since_prune;
	struct list letters;
	struct timer timer;
	struct log_every unwanted;
};

static size_t weight(const struct message *msg)
{
	return sizeof *msg + msg->len;
}

static void drop(struct message *msg)
{
	list_del(&msg->link);
	if (!msg->task) {
		msg->box->bytes -= weight(msg);
		msg->box->all->pending--;
	}
	free(msg);
}

static void look_again(struct messages *m)
{
	if (!timer_is_set(&m->timer))
		timer_set(m->worker->o.loop, &m->timer, PRUNE_MS);
}

/* ---- out ------------------------------------------------------------------------------------------------------------------------------ */

static int send_to(struct message *msg, struct colleague *c)
{
	struct frame f = {
		.type = FRAME_MESSAGE,
		.stream = msg->to,
		.arg = (uint32_t)msg->form,
		.value = c->messages_sent + 1,
	};
	struct str data = str_make(msg->data, msg->len);
	int r = link_send(c->line, &f, &data, 1);

	if (r < 0)
		return r;
	list_del(&msg->link);
	list_append(&c->messages, &msg->link);
	msg->number = ++c->messages_sent;
	return 0;
}

static void send_waiting(struct messages *m, unsigned slot)
{
	struct box *b = &m->boxes[slot];
	struct colleague *c = list_empty(&b->waiting) ? NULL : colleague_of_slot(m->worker, slot);

	if (!c)
		return; /* messages_on_ready() follows */
	for (struct list *it; (it = list_first(&b->waiting));)
		if (send_to(LS_CONTAINER_OF(it, struct message, link), c) < 0)
			return; /* the timer tries again */
}

static bool is_full(const struct box *b)
{
	return b->bytes >= b->all->worker->o.settings->message_queue_size;
}

static void take(struct message *msg)
{
	struct box *b = msg->box;

	list_append(&b->waiting, &msg->link);
	b->bytes += weight(msg);
	b->all->pending++;
	look_again(b->all);
}

/* Their senders go on as far as there is room. */
static void admit(struct box *b)
{
	while (!is_full(b)) {
		struct list *it = list_shift(&b->parked);

		if (!it)
			return;

		struct message *msg = LS_CONTAINER_OF(it, struct message, link);
		struct task *t = msg->task;

		msg->task = NULL;
		take(msg);
		lua_pushboolean(t->L, 1);
		sched_wake(t, 1);
	}
}

static void prune(struct colleague *c)
{
	uint64_t begun = list_empty(&c->messages) ? 0 : colleague_begun(c, BOARD_MESSAGES);

	for (struct list *it; (it = list_first(&c->messages));) {
		struct message *msg = LS_CONTAINER_OF(it, struct message, link);

		if (msg->number > begun)
			return;
		drop(msg);
	}
}

static void prune_all(struct messages *m)
{
	m->since_prune = 0;
	LS_LIST_EACH (it, &m->worker->colleagues)
		prune(LS_CONTAINER_OF(it, struct colleague, link));
	for (unsigned i = 0; i < m->n_boxes; i++) {
		admit(&m->boxes[i]);
		send_waiting(m, i);
	}
}

size_t messages_pending(struct messages *m)
{
	prune_all(m);
	return m->pending;
}

static struct message *new_message(struct box *b, const struct packed *value, enum message_to to)
{
	struct message *msg = try_alloc(sizeof *msg + value->bytes.len);

	if (!msg)
		return NULL;
	*msg = (struct message){ .box = b, .to = to, .form = value->form, .len = value->bytes.len };
	list_init(&msg->link);
	if (msg->len)
		memcpy(msg->data, value->bytes.p, msg->len);
	return msg;
}

static void give_up(struct task *t)
{
	drop(t->wait);
}

static int park(struct message *msg, lua_State *L, const char *what)
{
	struct worker *w = msg->box->all->worker;

	if (!sched_may_park(L)) {
		free(msg);
		return codes_push(L, CODE_QUEUE_FULL);
	}
	msg->task = sched_current(w->sched);
	list_append(&msg->box->parked, &msg->link);
	look_again(msg->box->all);
	return sched_park(L, what, give_up, msg, w->o.settings->send_timeout);
}

int messages_send(struct messages *m, lua_State *L, unsigned slot, const struct packed *value, enum message_to to,
                  const char *what)
{
	struct box *b = &m->boxes[slot];
	struct message *msg = new_message(b, value, to);

	if (!msg)
		return codes_push(L, CODE_NO_MEMORY);
	if (++m->since_prune >= PRUNE_EACH || is_full(b))
		prune_all(m);
	if (is_full(b) || !list_empty(&b->parked))
		return park(msg, L, what);
	take(msg);
	send_waiting(m, slot);
	return codes_push(L, 0);
}

/* ---- in ------------------------------------------------------------------------------------------------------------------------------- */

static void on_done(struct task *t, int status)
{
	struct worker *w = t->ctx;

	if (status != 0)
		handler_log_error(w, t, handler_error_text(t), NULL);
	worker_count_end(w);
}

/* Senders are told at once where there is no handler, so this one runs another app: for a moment during a reload it does. */
static void refuse(struct worker *w, struct colleague *c, const struct origin *from)
{
	uint64_t swallowed;

	if (c)
		colleague_begin(c, BOARD_MESSAGES, from->number);
	if (log_every_due(&w->messages->unwanted, 10000, &swallowed))
		log_warn(
			"a message from slot %u is dropped: this generation of the script has no pipe_message handler (%llu more)",
			from->slot, (unsigned long long)swallowed);
}

/* False: max_coroutine is reached, which handler_begin() has said. */
static bool call_handler(struct worker *w, struct colleague *c, const struct origin *from, const struct packed *value)
{
	struct handler_call call;
	int handler = app_handler(w->app, 0, EVENT_pipe_message);

	if (handler == LUA_NOREF) {
		refuse(w, c, from);
		return true;
	}
	if (!handler_begin(w, handler, "pipe_message", 0, &call))
		return false;
	if (c)
		colleague_begin(c, BOARD_MESSAGES, from->number);
	handler_push_server(w, call.L);
	lua_pushinteger(call.L, (lua_Integer)from->slot);
	if (pack_push(call.L, value) < 0)
		lua_pushnil(call.L);
	worker_count_begin(w);
	handler_run(w, &call, 3, on_done, w);
	return true;
}

/* False: there is no room, until some of what is there was read. */
static bool keep_for_read(struct worker *w, struct colleague *c, const struct origin *from, const struct packed *value)
{
	if (!intake_put(w->intake, from->slot, value))
		return false;
	if (c)
		colleague_begin(c, BOARD_MESSAGES, from->number);
	return true;
}

static bool begin(struct worker *w, struct colleague *c, const struct origin *from, const struct packed *value)
{
	return (from->to == MESSAGE_TO_READ ? keep_for_read : call_handler)(w, c, from, value);
}

static int hold(struct messages *m, const struct origin *from, const struct packed *value)
{
	struct letter *l = try_alloc(sizeof *l + value->bytes.len);

	if (!l)
		return -ENOMEM;
	*l = (struct letter){ .from = *from, .form = value->form, .len = value->bytes.len };
	if (l->len)
		memcpy(l->data, value->bytes.p, l->len);
	list_init(&l->link);
	list_append(&m->letters, &l->link);
	look_again(m);
	return 0;
}

int messages_on_message(struct messages *m, struct colleague *c, const struct frame *f, struct str payload)
{
	struct packed value = { .bytes = payload, .form = (enum pack_form)f->arg };
	struct origin from = {
		.slot = c->slot, .generation = c->generation, .number = f->value, .to = (enum message_to)f->stream
	};

	if (f->arg >= PACK_FORMS || f->stream > (m->worker->intake ? MESSAGE_TO_READ : MESSAGE_TO_HANDLER))
		return -EBADMSG;
	if (list_empty(&m->letters) && begin(m->worker, c, &from, &value))
		return 0;
	if (hold(m, &from, &value) < 0)
		worker_out_of_memory(m->worker, "a message of another process is lost");
	return 0;
}

static void begin_held(struct messages *m)
{
	for (struct list *it; (it = list_first(&m->letters));) {
		struct letter *l = LS_CONTAINER_OF(it, struct letter, link);
		struct packed value = { .bytes = str_make(l->data, l->len), .form = l->form };
		struct colleague *c = colleague_find(m->worker, l->from.slot, l->from.generation);

		if (!begin(m->worker, c, &l->from, &value))
			return;
		list_del(&l->link);
		free(l);
	}
}

void messages_on_room(struct messages *m)
{
	if (!list_empty(&m->letters))
		timer_set(m->worker->o.loop, &m->timer, 0);
}

/* ---- colleagues ------------------------------------------------------------------------------------------------------------------------- */

static void on_timer(struct timer *timer)
{
	struct messages *m = LS_CONTAINER_OF(timer, struct messages, timer);
	bool parked = false;

	begin_held(m);
	prune_all(m);
	for (unsigned i = 0; i < m->n_boxes; i++)
		parked |= !list_empty(&m->boxes[i].parked);
	if (parked || m->pending || !list_empty(&m->letters))
		look_again(m);
}

void messages_on_ready(struct messages *m, struct colleague *c)
{
	send_waiting(m, c->slot);
}

/* What it did not begin comes first for its successor. */
void messages_on_gone(struct messages *m, struct colleague *c)
{
	struct box *b = &m->boxes[c->slot];

	prune(c);
	list_move_all(&c->messages, &b->waiting);
	list_move_all(&b->waiting, &c->messages);
	admit(b);
	send_waiting(m, c->slot);
}

static void give_up_box(struct messages *m, unsigned slot)
{
	struct box *b = &m->boxes[slot];
	unsigned n = 0;

	for (struct list *it; (it = list_first(&b->waiting)); n++)
		drop(LS_CONTAINER_OF(it, struct message, link));
	if (n)
		log_warn("%u messages for %s %u are given up, since it has stopped", n,
		         crew_title(m->worker->o.settings, slot), slot);
}

/* A task worker is there until everybody else has gone. */
void messages_give_up(struct messages *m)
{
	for (unsigned i = 0; i < m->n_boxes; i++)
		if (crew_kind(m->worker->o.settings, i) != CREW_TASK && !colleague_of_slot(m->worker, i))
			give_up_box(m, i);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

struct messages *messages_new(struct worker *w)
{
	struct messages *m = xzalloc(sizeof *m);

	m->worker = w;
	m->n_boxes = crew_count(w->o.settings);
	m->boxes = xzalloc(m->n_boxes * sizeof *m->boxes);
	for (unsigned i = 0; i < m->n_boxes; i++) {
		m->boxes[i].all = m;
		list_init(&m->boxes[i].waiting);
		list_init(&m->boxes[i].parked);
	}
	list_init(&m->letters);
	timer_init(&m->timer, on_timer);
	return m;
}

static void drop_all(struct list *messages)
{
	for (struct list *it; (it = list_first(messages));)
		drop(LS_CONTAINER_OF(it, struct message, link));
}

void messages_free(struct messages *m)
{
	LS_LIST_EACH (it, &m->worker->colleagues)
		drop_all(&LS_CONTAINER_OF(it, struct colleague, link)->messages);
	for (unsigned i = 0; i < m->n_boxes; i++)
		drop_all(&m->boxes[i].waiting); /* nobody is parked any more: the scheduler has ended */
	for (struct list *it; (it = list_shift(&m->letters));)
		free(LS_CONTAINER_OF(it, struct letter, link));
	timer_del(m->worker->o.loop, &m->timer);
	free(m->boxes);
	free(m);
}
