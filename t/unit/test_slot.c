/* t/unit/test_slot.c — a slot gets its process back after deaths, gives up after too many, and rolls to a successor.
 *
 * The wards are played by this file: they do what the test says, at once.
 */
#include "super/slot.c"

#include "base/mem.h"
#include "super/reload.h"
#include "tap.h"

#include <stdlib.h>

static struct loop loop;
static struct super super;
static struct release accepted, candidate;
static struct slot slot;
static unsigned made, attached, stopped, killed, failures, recoveries, served, news_seen[4];
static uint64_t last_epoch;
static bool attaching_takes_time;
static char start_failure[256];

/* ---- the other files of the supervisor ------------------------------------------------------- */

struct ward *ward_new(struct slot *s, uint64_t epoch, uint64_t start_ms LS_UNUSED)
{
	struct ward *w = xzalloc(sizeof *w);

	list_init(&w->link);
	w->slot = s;
	w->epoch = epoch;
	w->child.pid = (pid_t)++made;
	last_epoch = epoch;
	return w;
}

void ward_open(struct ward *w, bool canary LS_UNUSED)
{
	w->state = WARD_LOADING;
}

void ward_attach(struct ward *w)
{
	attached++;
	if (attaching_takes_time)
		return;
	w->state = WARD_SERVING;
	slot_on_attached(w->slot, w);
}

void ward_stop(struct ward *w, uint64_t wait_ms LS_UNUSED, bool last LS_UNUSED)
{
	stopped++;
	w->unwanted = true;
	w->state = WARD_DRAINING;
}

void ward_kill(struct ward *w)
{
	killed++;
	w->unwanted = true;
}

void super_start_waiting(struct super *s)
{
	for (struct list *it; (it = list_shift(&s->waiting));)
		slot_begin(LS_CONTAINER_OF(it, struct slot, waiting));
}

void super_slot_serves(struct super *s LS_UNUSED)
{
	served++;
}

void super_slot_emptied(struct super *s LS_UNUSED)
{
	/* The test looks at the slot itself. */
}

void super_start_failed(struct super *s, const char *text)
{
	str_copy(str_from(text), start_failure, sizeof start_failure);
	s->phase = SUPER_STOPPING;
}

void super_run_hook(struct super *s LS_UNUSED, const struct evaluate_hook *hook LS_UNUSED)
{
	/* Not looked at here. */
}

bool super_stops(const struct super *s, enum crew_kind kind LS_UNUSED)
{
	return s->phase >= SUPER_STOPPING;
}

void reload_news(struct reload *r LS_UNUSED, struct slot *s LS_UNUSED, enum slot_news news, const char *text LS_UNUSED)
{
	news_seen[news]++;
}

static void on_slot_failed(void *ctx LS_UNUSED, unsigned id LS_UNUSED, bool failed)
{
	failures += failed;
	recoveries += !failed;
}

static const struct super_ops ops = { .slot_failed = on_slot_failed };

/* ---- what happens to wards ------------------------------------------------------------------- */

static void become_ready(struct ward *w)
{
	w->state = WARD_READY;
	w->ready_ms = clock_ms();
	slot_on_ready(w->slot, w);
}

static void end(struct ward *w, int status)
{
	slot_on_exit(w->slot, w, status);
	free(w);
}

static void fire_retry(void)
{
	timer_del(&loop, &slot.retry);
	slot.retry.fn(&slot.retry);
}

static void begin(void)
{
	accepted = (struct release){ .refs = 100, .epoch = 1, .settings_fd = -1, .image_fd = -1 };
	candidate = (struct release){ .refs = 100, .epoch = 2, .settings_fd = -1, .image_fd = -1 };
	accepted.settings.worker_max_deaths = candidate.settings.worker_max_deaths = 3;
	accepted.settings.worker_num = candidate.settings.worker_num = 4;
	super = (struct super){ .loop = &loop, .ops = &ops, .release = &accepted, .phase = SUPER_RUNNING };
	list_init(&super.waiting);
	made = attached = stopped = killed = failures = recoveries = served = 0;
	memset(news_seen, 0, sizeof news_seen);
	slot_init(&slot, &super, 3, &accepted);
}

static void serve(void)
{
	slot_want(&slot);
	become_ready(slot.next);
}

/* Ends whatever is left. */
static void finish(void)
{
	super.phase = SUPER_STOPPING;
	slot_stop(&slot, 0);
	while (!list_empty(&slot.draining))
		end(LS_CONTAINER_OF(slot.draining.next, struct ward, link), 0);
	slot_fini(&slot);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void backs_off(void)
{
	ok(backoff(1) == 0 && backoff(2) == 100 && backoff(3) == 200 && backoff(4) == 400 && backoff(7) == 3200 &&
	           backoff(8) == 5000 && backoff(60) == 5000,
	   "deaths are answered after 0, 100, 200, 400 … 5000 ms");
}

static void starts_and_serves(void)
{
	begin();
	serve();
	ok(slot.serving && !slot.next && attached == 1 && served == 1, "a ready process is attached and serves");
	slot_want(&slot);
	slot_want(&slot);
	ok(made == 2, "wanting twice starts one process");
	finish();
}

static void recovers_and_gives_up(void)
{
	begin();
	serve();
	end(slot.serving, SIGSEGV);
	ok(slot.next && made == 2, "after the first death another one is started at once");
	become_ready(slot.next);
	end(slot.serving, SIGSEGV);
	ok(!slot.next && timer_is_set(&slot.retry), "after the second it waits");
	fire_retry();
	become_ready(slot.next);
	end(slot.serving, SIGSEGV);
	ok(slot.failed && failures == 1 && !slot.next && !timer_is_set(&slot.retry),
	   "after the third the slot has failed");
	slot_want(&slot);
	ok(!slot.next, "a failed slot gets no process");
	slot_roll(&slot, &candidate, false);
	ok(!slot.failed && recoveries == 1 && slot.next, "a reload tries it again");
	finish();
}

static void forgets_old_deaths(void)
{
	begin();
	serve();
	for (int i = 0; i < 10; i++) {
		slot.serving->ready_ms -= QUICK_MS;
		end(slot.serving, SIGKILL);
		become_ready(slot.next);
	}
	ok(!slot.failed && slot.quick_deaths == 0, "deaths of processes that lived for a while do not add up");
	finish();
}

static void replaces_who_retires(void)
{
	struct ward *old;

	begin();
	serve();
	old = slot.serving;
	slot_on_retire(&slot, old);
	slot_on_retire(&slot, old);
	ok(made == 2 && slot.serving == old && stopped == 0, "who retires serves until its successor is ready");
	become_ready(slot.next);
	ok(slot.serving != old && stopped == 1 && slot.n_draining == 1, "then it is told to leave");
	end(old, 0);
	ok(slot.n_draining == 0 && !slot.next && slot.quick_deaths == 0, "and its end is no death");
	finish();
}

static void replaces_who_retires_early(void)
{
	struct ward *hasty;

	begin();
	attaching_takes_time = true;
	serve();
	hasty = slot.next;
	slot_on_retire(&slot, hasty);
	ok(made == 1 && slot.serving == NULL && slot.next == hasty,
	   "who retires before it is known to be attached is not lost");
	attaching_takes_time = false;
	hasty->state = WARD_SERVING;
	slot_on_attached(&slot, hasty);
	ok(slot.serving == hasty && made == 2 && slot.next != NULL, "and gets a successor as soon as it is");
	become_ready(slot.next);
	ok(slot.serving != hasty && stopped == 1, "which takes over");
	end(hasty, 0);
	finish();
}

static void rolls_with_a_canary(void)
{
	struct ward *old;

	begin();
	serve();
	old = slot.serving;
	slot_roll(&slot, &candidate, true);
	ok(last_epoch == 2, "the successor runs the candidate");
	become_ready(slot.next);
	ok(slot.serving == old && news_seen[SLOT_HELD] == 1, "a canary is held when it is ready");
	slot_admit(&slot);
	ok(slot.serving->epoch == 2 && news_seen[SLOT_ATTACHED] == 1, "until it is admitted");
	end(slot.serving, SIGKILL);
	ok(slot.next && last_epoch == 2, "its successor runs the same release");
	finish();
}

static void goes_back(void)
{
	struct ward *old, *next;

	begin();
	serve();
	old = slot.serving;
	slot_roll(&slot, &candidate, true);
	next = slot.next;
	end(next, 256);
	ok(news_seen[SLOT_LOST] == 1 && slot.serving == old && !slot.next && !timer_is_set(&slot.retry),
	   "a canary that dies is the reload's affair");
	slot_unroll(&slot);
	ok(slot.serving == old && slot.release == &accepted && slot.quick_deaths == 0, "the old process serves on");

	slot_roll(&slot, &candidate, false);
	next = slot.next;
	slot_unroll(&slot);
	ok(killed == 1 && !slot.next && slot.n_draining == 1, "a successor that is called off is killed");
	end(next, SIGKILL);
	end(old, SIGKILL);
	ok(slot.next && last_epoch == 1, "a death afterwards starts the accepted release");
	finish();
}

static void start_failure_is_told(void)
{
	struct ward *w;

	begin();
	super.phase = SUPER_STARTING;
	slot_want(&slot);
	w = slot.next;
	str_copy(LS_STR("app.lua:1: boom"), w->failure, sizeof w->failure);
	end(w, 256);
	ok(strstr(start_failure, "worker 3") && strstr(start_failure, "boom"), "at start a failure ends the start: %s",
	   start_failure);
	ok(slot_is_empty(&slot), "and nothing is left in the slot");
	slot_fini(&slot);
}

/* A user process whose slot has that `restart`; ended with code 0 and then by SIGKILL, each after a long life. */
static void user_process(enum userproc_restart restart)
{
	static struct userproc user = { .name = "clock", .coroutine = true };

	begin();
	user.restart = restart;
	accepted.settings.worker_num = candidate.settings.worker_num = 3;
	accepted.settings.processes = candidate.settings.processes = &user;
	accepted.settings.n_processes = candidate.settings.n_processes = 1;
	slot_fini(&slot);
	slot_init(&slot, &super, 3, &accepted);
}

static void user_processes_are_started_again_as_they_say(void)
{
	char name[96];

	user_process(RESTART_ALWAYS);
	ok(strcmp(slot_name(&slot, name, sizeof name), "user process 3 (clock)") == 0, "it has a name: %s", name);
	serve();
	end(slot.serving, 0);
	ok(slot.next != NULL && !slot.failed, "always: it is started again when it has ended well");
	finish();

	user_process(RESTART_ON_ERROR);
	serve();
	end(slot.serving, SIGKILL);
	ok(slot.next != NULL, "on_error: it is when it has not");
	become_ready(slot.next);
	end(slot.serving, 0);
	ok(slot.next == NULL && slot.failed && failures == 1, "and not when it has");
	slot_renew(&slot, &candidate);
	ok(slot.next == NULL && recoveries == 0 && slot.release == &candidate, "nor by a reload");
	finish();

	user_process(RESTART_NEVER);
	serve();
	end(slot.serving, SIGKILL);
	ok(slot.next == NULL && slot.failed, "never: not even then");
	finish();
}

static void reload_passes_user_processes_by(void)
{
	user_process(RESTART_ALWAYS);
	serve();
	slot_renew(&slot, &candidate);
	ok(slot.serving && !slot.next && stopped == 0, "its process goes on");
	end(slot.serving, 256);
	ok(slot.next && last_epoch == 2, "its successor runs the new release");
	end(slot.next, 256);
	fire_retry();
	end(slot.next, 256);
	ok(slot.failed && failures == 1, "given up after deaths in a row");
	slot_renew(&slot, &accepted);
	ok(slot.next && recoveries == 1 && last_epoch == 1, "and taken up by a reload");
	finish();
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	if (loop_init(&loop) < 0)
		return 1;
	backs_off();
	starts_and_serves();
	recovers_and_gives_up();
	forgets_old_deaths();
	replaces_who_retires();
	replaces_who_retires_early();
	rolls_with_a_canary();
	goes_back();
	start_failure_is_told();
	user_processes_are_started_again_as_they_say();
	reload_passes_user_processes_by();
	loop_fini(&loop);
	return tap_done();
}
