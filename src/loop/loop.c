#include "loop/loop.h"

enum { HOOK_ROUNDS = 32 };

static void do_nothing(uv_idle_t *idle LS_UNUSED)
{
	/* An active idle handle makes libuv poll without sleeping; that is all it is for. */
}

static void on_alarm(uv_timer_t *alarm)
{
	struct loop *l = alarm->data;

	l->alarm_due = 0;
	timer_wheel_advance(&l->wheel, loop_now(l));
}

/* Sets the one uv_timer to the wheel's next due time, if that has changed. */
static void set_alarm(struct loop *l)
{
	uint64_t due = timer_wheel_next(&l->wheel);

	if (due == l->alarm_due)
		return;
	l->alarm_due = due;
	if (due == 0)
		uv_timer_stop(&l->alarm);
	else
		uv_timer_start(&l->alarm, on_alarm, due > loop_now(l) ? due - loop_now(l) : 0, 0);
}

static bool run_hooks(struct loop *l)
{
	bool more = false;

	LS_LIST_EACH_SAFE (it, after, &l->hooks) {
		struct loop_hook *hook = LS_CONTAINER_OF(it, struct loop_hook, link);

		if (hook->before_sleep && hook->before_sleep(hook->ctx))
			more = true;
	}
	return more;
}

static void before_sleep(uv_prepare_t *prepare)
{
	struct loop *l = prepare->data;
	bool more = true;

	/* Hooks give each other work (worker and reactor in base mode); a few rounds of that are cheaper than asking the
	 * kernel in between. */
	for (int round = 0; round < HOOK_ROUNDS && more && !l->stopping; round++)
		more = run_hooks(l);
	set_alarm(l);
	if (more)
		uv_idle_start(&l->idle, do_nothing);
	else
		uv_idle_stop(&l->idle);
	l->turns++;
}

static void after_wake(uv_check_t *check)
{
	struct loop *l = check->data;

	LS_LIST_EACH_SAFE (it, after, &l->hooks) {
		struct loop_hook *hook = LS_CONTAINER_OF(it, struct loop_hook, link);

		if (hook->after_wake)
			hook->after_wake(hook->ctx);
	}
}

int loop_init(struct loop *l)
{
	*l = (struct loop){ 0 };

	int r = uv_loop_init(&l->uv);

	if (r < 0)
		return r;
	list_init(&l->hooks);
	timer_wheel_init(&l->wheel, loop_now(l));
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	uv_timer_init(&l->uv, &l->alarm);
	l->prepare.data = l;
	l->check.data = l;
	l->alarm.data = l;
	uv_prepare_start(&l->prepare, before_sleep);
	uv_check_start(&l->check, after_wake);
	return 0;
}

void loop_run(struct loop *l)
{
	while (!l->stopping)
		uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
	uv_stop(&l->uv);
}

void loop_turn(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_NOWAIT);
}

static void close_handle(uv_handle_t *handle, void *arg LS_UNUSED)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void loop_fini(struct loop *l)
{
	uv_prepare_stop(&l->prepare);
	uv_check_stop(&l->check);
	uv_walk(&l->uv, close_handle, NULL);
	while (uv_loop_close(&l->uv) == UV_EBUSY)
		uv_run(&l->uv, UV_RUN_NOWAIT);
}

void loop_add_hook(struct loop *l, struct loop_hook *hook)
{
	list_append(&l->hooks, &hook->link);
}

void loop_add_hook_first(struct loop *l, struct loop_hook *hook)
{
	list_append(l->hooks.next, &hook->link);
}

void loop_del_hook(struct loop *l LS_UNUSED, struct loop_hook *hook)
{
	list_del(&hook->link);
}
