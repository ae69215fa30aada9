#include "super/super.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <errno.h>
#include <stdlib.h>

enum { BEAT_MS = 1000, BEAT_MIN_MS = 50, START_MAX_LEAST = 4 };

/* ---- watchdog -------------------------------------------------------------------------------- */

static void check_ward(struct ward *w, void *arg)
{
	uint64_t limit = w->slot->super->release->settings.max_execution_time;

	if (limit)
		ward_check(w, *(uint64_t *)arg, 2 * limit);
}

static uint64_t beat_of(const struct super *s)
{
	return LS_MAX(LS_MIN(s->release->settings.max_execution_time / 2, (uint64_t)BEAT_MS), (uint64_t)BEAT_MIN_MS);
}

static void set_beat(struct super *s)
{
	if (s->release->settings.max_execution_time)
		timer_set(s->loop, &s->beat, beat_of(s));
}

static void on_beat(struct timer *t)
{
	struct super *s = LS_CONTAINER_OF(t, struct super, beat);
	uint64_t beat = beat_of(s);

	for (unsigned i = 0; i < s->n_slots; i++)
		slot_each(&s->slots[i], check_ward, &beat);
	set_beat(s);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct super *super_new(const struct super_opts *o)
{
	struct super *s = xzalloc(sizeof *s);

	s->loop = o->loop;
	s->ops = o->ops;
	s->ctx = o->ctx;
	s->self = o->self;
	s->release = release_ref(o->release);
	s->epoch = o->release->epoch;
	launch_copy(&s->launch, o->launch);
	s->next_generation = o->next_generation;
	s->start_max = LS_MAX(2 * proc_cpu_count(), (unsigned)START_MAX_LEAST);
	list_init(&s->waiting);
	timer_init(&s->beat, on_beat);
	reload_init(&s->reload, s);
	s->n_slots = crew_count(&s->release->settings);
	s->slots = xzalloc(s->n_slots * sizeof *s->slots);
	for (unsigned i = 0; i < s->n_slots; i++)
		slot_init(&s->slots[i], s, i, s->release);
	return s;
}

void super_free(struct super *s)
{
	if (!s)
		return;
	timer_del(s->loop, &s->beat);
	for (unsigned i = 0; i < s->n_slots; i++)
		slot_fini(&s->slots[i]);
	free(s->slots);
	launch_fini(&s->launch);
	release_unref(s->release);
	free(s);
}

void super_start(struct super *s)
{
	s->phase = SUPER_STARTING;
	set_beat(s);
	for (unsigned i = 0; i < s->n_slots && s->phase == SUPER_STARTING; i++)
		slot_want(&s->slots[i]);
}

void super_accept(struct super *s, unsigned slot, struct release *release)
{
	slot_accept(&s->slots[slot], release);
	s->epoch = LS_MAX(s->epoch, release->epoch);
}

void super_adopt(struct super *s, unsigned slot, uint64_t generation, uint64_t epoch, const struct child *child,
                 int control, int up)
{
	struct slot *sl = &s->slots[slot];

	slot_adopt(sl, ward_adopt(sl, generation, epoch, child, control, up), s->release->settings.max_wait_time);
}

void super_resume(struct super *s)
{
	s->phase = SUPER_RUNNING;
	set_beat(s);
	for (unsigned i = 0; i < s->n_slots; i++) {
		struct slot *slot = &s->slots[i];

		/* One that runs a release that was never accepted is replaced; a user process may run an old one. */
		if (!slot->serving || (slot->kind != CREW_PROCESS && slot->serving->epoch != slot->accepted->epoch))
			slot_want(slot);
	}
}

void super_start_waiting(struct super *s)
{
	while (s->starting < s->start_max && !super_stops(s, CREW_TASK)) {
		struct list *it = list_shift(&s->waiting);

		if (!it)
			return;
		slot_begin(LS_CONTAINER_OF(it, struct slot, waiting));
	}
}

static void start_ward(struct ward *w, void *arg LS_UNUSED)
{
	if (w->state == WARD_SERVING)
		ward_start(w);
}

/* Nobody accepts before everybody could: the first processes are told together. */
void super_slot_serves(struct super *s)
{
	if (s->phase == SUPER_STARTING)
		for (unsigned i = 0; i < s->n_slots; i++)
			if (!s->slots[i].serving)
				return;
	for (unsigned i = 0; i < s->n_slots; i++)
		slot_each(&s->slots[i], start_ward, NULL);
	if (s->phase == SUPER_STARTING) {
		s->phase = SUPER_RUNNING;
		s->ops->serving(s->ctx);
	}
}

static void finish_stop(struct super *s)
{
	s->phase = SUPER_STOPPED;
	timer_del(s->loop, &s->beat);
	s->ops->stopped(s->ctx);
}

/* Workers wait for their tasks and may need what user processes do; these may wait for tasks, too. */
static const enum crew_kind stop_order[] = { CREW_WORKER, CREW_PROCESS, CREW_TASK };

bool super_stops(const struct super *s, enum crew_kind kind)
{
	if (s->phase < SUPER_STOPPING)
		return false;
	for (unsigned i = 0; i < s->stop_stages; i++)
		if (stop_order[i] == kind)
			return true;
	return false;
}

static bool are_gone(const struct super *s, enum crew_kind kind)
{
	for (unsigned i = 0; i < s->n_slots; i++)
		if (s->slots[i].kind == kind && !slot_is_empty(&s->slots[i]))
			return false;
	return true;
}

/* A kind is told to stop once those before it have gone, and all are when the time is over. */
static bool next_stage_is_due(const struct super *s)
{
	if (s->stop_stages == LS_COUNT(stop_order))
		return false;
	return s->stop_stages == 0 || loop_now(s->loop) >= s->stop_at || are_gone(s, stop_order[s->stop_stages - 1]);
}

static void stop_slots(struct super *s)
{
	uint64_t now = loop_now(s->loop);
	uint64_t left = s->stop_at > now ? s->stop_at - now : 0;

	while (next_stage_is_due(s))
		s->stop_stages++;
	for (unsigned i = 0; i < s->n_slots; i++)
		if (super_stops(s, s->slots[i].kind))
			slot_stop(&s->slots[i], left);
}

void super_slot_emptied(struct super *s)
{
	if (s->phase != SUPER_STOPPING)
		return;
	if (next_stage_is_due(s))
		stop_slots(s);
	for (unsigned i = 0; i < s->n_slots; i++)
		if (!slot_is_empty(&s->slots[i]))
			return;
	if (s->phase == SUPER_STOPPING) /* a slot may have been emptied by stop_slots() */
		finish_stop(s);
}

void super_start_failed(struct super *s, const char *text)
{
	s->phase = SUPER_STOPPING;
	s->stop_stages = LS_COUNT(stop_order);
	s->ops->start_failed(s->ctx, text);
	for (unsigned i = 0; i < s->n_slots; i++)
		slot_kill(&s->slots[i]);
	super_slot_emptied(s);
}

void super_stop(struct super *s, uint64_t wait_ms)
{
	if (s->phase == SUPER_STOPPED)
		return;
	s->phase = SUPER_STOPPING;
	reload_cancel(&s->reload, "the server stops");
	s->stop_at = loop_now(s->loop) + wait_ms;
	stop_slots(s);
	super_slot_emptied(s);
}

/* ---- answers --------------------------------------------------------------------------------- */

struct search {
	uint64_t generation;
	int pid;
	struct ward *found;
};

static void match_generation(struct ward *w, void *arg)
{
	struct search *search = arg;

	if (w->generation == search->generation)
		search->found = w;
}

static void match_pid(struct ward *w, void *arg)
{
	struct search *search = arg;

	if (w->child.pid == search->pid)
		search->found = w;
}

static struct ward *find_generation(struct super *s, unsigned slot, uint64_t generation)
{
	struct search search = { .generation = generation };

	if (slot < s->n_slots)
		slot_each(&s->slots[slot], match_generation, &search);
	return search.found;
}

void super_opened(struct super *s, unsigned slot, uint64_t generation, int control, int child_end, int up)
{
	struct ward *w = find_generation(s, slot, generation);

	if (w && w->state == WARD_OPENING) {
		ward_opened(w, control, child_end, up);
		return;
	}
	/* It was called off meanwhile. */
	fd_close(&control);
	fd_close(&child_end);
	fd_close(&up);
}

void super_refused(struct super *s, unsigned slot, uint64_t generation, const char *text)
{
	struct ward *w = find_generation(s, slot, generation);

	if (w && w->state == WARD_OPENING)
		ward_refused(w, text);
}

void super_attached(struct super *s, unsigned slot, uint64_t generation)
{
	struct ward *w = find_generation(s, slot, generation);

	if (w)
		ward_attached(w);
}

void super_committed(struct super *s)
{
	reload_committed(&s->reload);
	set_beat(s); /* the limit may be new */
}

bool super_exited(struct super *s, int pid, int status)
{
	struct search search = { .pid = pid };

	for (unsigned i = 0; i < s->n_slots && !search.found; i++)
		slot_each(&s->slots[i], match_pid, &search);
	if (search.found)
		ward_exited(search.found, status);
	return search.found != NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

void super_reload(struct super *s, uint64_t tag, bool tasks_only)
{
	reload_request(&s->reload, tag, tasks_only);
}

void super_run_hook(struct super *s, const struct evaluate_hook *hook)
{
	if (s->release->settings.events & 1ULL << hook->event)
		s->ops->hook(s->ctx, hook);
}

static void reopen_ward(struct ward *w, void *arg)
{
	if (w->state >= WARD_LOADING)
		ward_send(w, arg);
}

void super_reopen(struct super *s, int log, int access_log)
{
	struct ctl_msg m = { .type = CTL_REOPEN, .n_fds = access_log >= 0 ? 2 : 1, .fds = { log, access_log } };

	for (unsigned i = 0; i < s->n_slots; i++)
		slot_each(&s->slots[i], reopen_ward, &m);
}
