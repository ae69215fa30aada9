#include "loop/loop.h"

#include "base/clock.h"
#include "loop/watch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { HOOK_ROUNDS = 32 };

/* ---- the parts of a turn ------------------------------------------------------------------------------------------ */

static bool run_hooks_once(struct loop *l)
{
	bool more = false;

	LS_LIST_EACH_SAFE (it, after, &l->hooks) {
		struct loop_hook *hook = LS_CONTAINER_OF(it, struct loop_hook, link);

		if (hook->before_sleep && hook->before_sleep(hook->ctx))
			more = true;
	}
	return more;
}

/* Hooks give each other work (worker and reactor in base mode); a few rounds of that are cheaper than asking the kernel in
 * between.  True: there is more all the same. */
static bool before_sleep(struct loop *l)
{
	bool more = true;

	for (int round = 0; round < HOOK_ROUNDS && more && !l->stopping; round++)
		more = run_hooks_once(l);
	return more;
}

static void after_wake(struct loop *l)
{
	LS_LIST_EACH_SAFE (it, after, &l->hooks) {
		struct loop_hook *hook = LS_CONTAINER_OF(it, struct loop_hook, link);

		if (hook->after_wake)
			hook->after_wake(hook->ctx);
	}
}

static int least(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

/* Milliseconds until libuv wants to run; -1: only when its descriptor says so.  (It counts a loop without handles as one that
 * wants to run at once.) */
static int uv_time(struct loop *l)
{
	return uv_loop_alive(&l->uv) ? uv_backend_timeout(&l->uv) : -1;
}

/* Milliseconds until the wheel or libuv wants to run; -1: nothing is set. */
static int time_to_sleep(struct loop *l)
{
	uint64_t due = timer_wheel_next(&l->wheel);
	uint64_t left = due > l->now_ms ? due - l->now_ms : 0;
	int ours = due == 0 ? -1 : left > INT_MAX ? INT_MAX : (int)left;

	return least(ours, uv_time(l));
}

static void run_uv(struct loop *l)
{
	l->uv_due = false;
	uv_run(&l->uv, UV_RUN_NOWAIT);
}

uint64_t loop_wall_us(struct loop *l)
{
	if (l->wall_us == 0)
		l->wall_us = clock_wall_us();
	return l->wall_us;
}

/* Waits and tells every watch what happened. */
static void handle_events(struct loop *l, int timeout)
{
	int n = epoll_wait(l->epoll, l->events, LOOP_BATCH, timeout);

	l->now_ms = clock_ms();
	l->wall_us = 0;
	l->n_events = n > 0 ? n : 0; /* EINTR: a debugger came and went */
	for (int i = 0; i < l->n_events; i++) {
		void *what = l->events[i].data.ptr;

		if (what == l)
			l->uv_due = true;
		else if (what)
			watch_on_events(what, l->events[i].events);
	}
	l->n_events = 0;
}

static void tell_closed(struct loop *l)
{
	for (struct list *it; (it = list_shift(&l->closing));) {
		struct watch *w = LS_CONTAINER_OF(it, struct watch, closing);

		if (w->on_closed)
			w->on_closed(w);
	}
}

void loop_turn(struct loop *l, bool wait)
{
	l->now_ms = clock_ms();
	timer_wheel_advance(&l->wheel, l->now_ms);

	bool more = before_sleep(l);

	/* What libuv's callbacks give to the hooks must not wait for the end of a sleep. */
	if (l->uv_due) {
		run_uv(l);
		more = true;
	}
	if (more || !wait || l->stopping || !list_empty(&l->closing))
		handle_events(l, 0);
	else
		handle_events(l, time_to_sleep(l));
	if (l->uv_due || uv_time(l) == 0)
		run_uv(l);
	after_wake(l);
	tell_closed(l);
	l->turns++;
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

int loop_init(struct loop *l)
{
	memset(l, 0, sizeof *l);

	struct epoll_event uv_event = { .events = EPOLLIN, .data.ptr = l };
	int r = uv_loop_init(&l->uv);

	if (r < 0)
		return r;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, uv_backend_fd(&l->uv), &uv_event) < 0) {
		r = -errno;
		if (l->epoll >= 0)
			close(l->epoll);
		uv_loop_close(&l->uv);
		return r;
	}
	list_init(&l->hooks);
	list_init(&l->closing);
	l->now_ms = clock_ms();
	timer_wheel_init(&l->wheel, l->now_ms);
	return 0;
}

void loop_run(struct loop *l)
{
	while (!l->stopping)
		loop_turn(l, true);
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}

static void close_handle(uv_handle_t *handle, void *arg LS_UNUSED)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void loop_fini(struct loop *l)
{
	tell_closed(l);
	uv_walk(&l->uv, close_handle, NULL);
	/* A request that a thread has begun cannot be taken back: sleeps until it has ended. */
	while (uv_loop_close(&l->uv) == UV_EBUSY)
		uv_run(&l->uv, UV_RUN_ONCE);
	close(l->epoll);
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
