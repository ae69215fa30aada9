#include "worker/intake.h"

#include "worker/messages.h"
#include "worker/runtime.h"

#include <stdlib.h>

struct item {
	struct list link;
	unsigned slot;
	enum pack_form form;
	size_t len;
	char data[];
};

struct intake {
	struct worker *worker;
	struct list items;
	struct list readers; /* tasks, by their link */
	size_t bytes;
};

static size_t weight(size_t len)
{
	return sizeof(struct item) + len;
}

static int push(lua_State *L, unsigned slot, const struct packed *value)
{
	if (pack_push(L, value) < 0)
		lua_pushnil(L); /* our own processes write no such thing */
	lua_pushinteger(L, (lua_Integer)slot);
	return 2;
}

static bool give_to_reader(struct intake *in, unsigned slot, const struct packed *value)
{
	struct list *it = list_shift(&in->readers);

	if (!it)
		return false;

	struct task *t = LS_CONTAINER_OF(it, struct task, link);

	sched_wake(t, push(t->L, slot, value));
	return true;
}

bool intake_put(struct intake *in, unsigned slot, const struct packed *value)
{
	struct item *item;

	if (give_to_reader(in, slot, value))
		return true;
	/* One is taken however large it is. */
	if (in->bytes && in->bytes + weight(value->bytes.len) > in->worker->o.settings->message_queue_size)
		return false;
	item = try_alloc(weight(value->bytes.len));
	if (!item)
		return false;
	*item = (struct item){ .slot = slot, .form = value->form, .len = value->bytes.len };
	if (item->len)
		memcpy(item->data, value->bytes.p, item->len);
	list_init(&item->link);
	list_append(&in->items, &item->link);
	in->bytes += weight(item->len);
	return true;
}

bool intake_is_empty(const struct intake *in)
{
	return list_empty(&in->items);
}

static void drop(struct intake *in, struct item *item)
{
	list_del(&item->link);
	in->bytes -= weight(item->len);
	free(item);
}

static void give_up(struct task *t)
{
	list_del(&t->link);
}

int intake_read(struct intake *in, lua_State *L, uint64_t timeout_ms)
{
	struct list *it = list_first(&in->items);

	if (it) {
		struct item *item = LS_CONTAINER_OF(it, struct item, link);
		struct packed value = { .bytes = str_make(item->data, item->len), .form = item->form };
		int n = push(L, item->slot, &value);

		drop(in, item);
		messages_on_room(in->worker->messages);
		return n;
	}
	if (!sched_may_park(L))
		return sched_park(L, "process:read", NULL, NULL, 0); /* which says why not */
	list_append(&in->readers, &sched_current(in->worker->sched)->link);
	return sched_park(L, "process:read", give_up, in, timeout_ms);
}

struct intake *intake_new(struct worker *w)
{
	struct intake *in = xzalloc(sizeof *in);

	in->worker = w;
	list_init(&in->items);
	list_init(&in->readers);
	return in;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	for (struct list *it; (it = list_first(&in->items));)
		drop(in, LS_CONTAINER_OF(it, struct item, link));
	free(in);
}
