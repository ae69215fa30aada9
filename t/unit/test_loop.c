/* t/unit/test_loop.c — hooks around the sleep, timers that wake the loop, and its end. */
#include "loop/loop.c"

#include "tap.h"

#include "loop/watch.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct loop loop;
static char order[64];

struct named_hook {
	struct loop_hook hook;
	char name;
	unsigned more; /* so often before_sleep says that there is work left */
	bool remove_itself;
};

static bool before(void *ctx)
{
	struct named_hook *h = ctx;

	if (strlen(order) < sizeof order - 2)
		strncat(order, &h->name, 1);
	if (h->remove_itself)
		loop_del_hook(&loop, &h->hook);
	return h->more && h->more--;
}

static void after(void *ctx)
{
	struct named_hook *h = ctx;
	char upper = (char)(h->name - 'a' + 'A');

	if (strlen(order) < sizeof order - 2)
		strncat(order, &upper, 1);
}

static void init_hook(struct named_hook *h, char name)
{
	*h = (struct named_hook){ .hook = { .before_sleep = before, .after_wake = after, .ctx = h }, .name = name };
	list_init(&h->hook.link);
}

static void runs_hooks_in_order(void)
{
	struct named_hook a, b, c;

	init_hook(&a, 'a');
	init_hook(&b, 'b');
	init_hook(&c, 'c');
	loop_add_hook(&loop, &a.hook);
	loop_add_hook(&loop, &b.hook);
	loop_add_hook_first(&loop, &c.hook);
	order[0] = '\0';
	loop_turn(&loop, false);
	ok(strcmp(order, "cabCAB") == 0, "before and after the sleep, in order, the first in front: %s", order);

	a.remove_itself = true;
	order[0] = '\0';
	loop_turn(&loop, false);
	loop_turn(&loop, false);
	ok(strcmp(order, "cabCBcbCB") == 0, "one that takes itself off: %s", order);
	loop_del_hook(&loop, &b.hook);
	loop_del_hook(&loop, &c.hook);
	loop_del_hook(&loop, &c.hook);
}

static void on_stop(struct timer *t LS_UNUSED)
{
	loop_stop(&loop);
}

static void run(void)
{
	loop.stopping = false;
	loop_run(&loop);
}

static void does_not_sleep_while_there_is_work(void)
{
	struct named_hook a;
	struct timer stop;
	uint64_t turns = loop.turns, began;

	init_hook(&a, 'a');
	a.more = 1000;
	loop_add_hook(&loop, &a.hook);
	timer_init(&stop, on_stop);
	timer_set(&loop, &stop, 60);
	began = loop_now(&loop);
	run();
	ok(a.more == 0, "a thousand turns without sleeping");
	ok(loop_now(&loop) - began >= 60, "a timer is not early");
	ok(loop.turns - turns < 1100, "then it slept (%llu turns)", (unsigned long long)(loop.turns - turns));
	loop_del_hook(&loop, &a.hook);
}

static unsigned ticks;
static uint64_t first_tick, tick_gap;

static void on_tick(struct timer *t)
{
	uint64_t now = loop_now(&loop);

	if (ticks == 0)
		first_tick = now;
	else if (now - t->due_ms > tick_gap)
		tick_gap = now - t->due_ms;
	if (++ticks == 20)
		loop_stop(&loop);
	else
		timer_set(&loop, t, 2);
}

static void a_timer_sets_itself(void)
{
	struct timer t, far;

	timer_init(&t, on_tick);
	timer_init(&far, on_stop);
	timer_set(&loop, &far, 86400000);
	timer_set(&loop, &t, 1);
	run();
	ok(ticks == 20 && loop_now(&loop) - first_tick >= 38, "twenty ticks of 2 ms, none early");
	timer_del(&loop, &far);
}

static struct timer from_watch;
static unsigned wakes;

static void on_readable(struct watch *w, int events LS_UNUSED)
{
	uint64_t n;

	(void)!read(w->fd, &n, sizeof n);
	wakes++;
	timer_set(&loop, &from_watch, 5); /* set while the loop handles descriptors: the alarm must follow */
}

static void timers_set_by_events(void)
{
	struct watch w;
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t began = loop_now(&loop);

	timer_init(&from_watch, on_stop);
	ok(watch_open(&w, &loop, fd, on_readable) == 0, "an eventfd is watched");
	watch_set(&w, WATCH_READ);
	run();
	ok(wakes == 1 && loop_now(&loop) - began >= 5, "a timer set by an event wakes the loop");
	watch_close(&w, NULL);
	loop_turn(&loop, false);
}

static void ends_with_handles_open(void)
{
	static struct loop second;
	struct watch w;

	ok(loop_init(&second) == 0, "a second loop in the same thread");
	watch_open(&w, &second, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), on_readable);
	watch_set(&w, WATCH_READ);
	loop_fini(&second);
	ok(true, "its end closes what is still open in it");
	close(w.fd);
}

int main(void)
{
	loop_init(&loop);
	runs_hooks_in_order();
	does_not_sleep_while_there_is_work();
	a_timer_sets_itself();
	timers_set_by_events();
	ends_with_handles_open();
	loop_fini(&loop);
	return tap_done();
}
