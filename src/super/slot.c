#include "super/slot.h"

#include "base/clock.h"
#include "base/log.h"
#include "super/super.h"

#include <stdio.h>
#include <sys/wait.h>

enum { QUICK_MS = 1000, BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 5000 };

/* 0, 0.1, 0.2, 0.4 … 5 s: the first death is answered at once, since most happen once. */
static uint64_t backoff(unsigned quick_deaths)
{
	if (quick_deaths <= 1)
		return 0;
	if (quick_deaths > 8)
		return BACKOFF_MAX_MS;
	return LS_MIN((uint64_t)BACKOFF_FIRST_MS << (quick_deaths - 2), (uint64_t)BACKOFF_MAX_MS);
}

/* A task worker that dies while others finish their tasks gets a successor. */
static bool is_stopping(const struct slot *s)
{
	bool serves_on = s->kind == CREW_TASK && !super_stops(s->super, CREW_TASK);

	return s->super->phase >= SUPER_STOPPING && !serves_on;
}

static void on_retry(struct timer *t)
{
	slot_want(LS_CONTAINER_OF(t, struct slot, retry));
}

void slot_init(struct slot *s, struct super *super, unsigned id, struct release *release)
{
	*s = (struct slot){ .super = super,
		            .id = id,
		            .kind = crew_kind(&release->settings, id),
		            .title = crew_title(&release->settings, id),
		            .release = release_ref(release),
		            .accepted = release_ref(release) };
	list_init(&s->draining);
	list_init(&s->waiting);
	timer_init(&s->retry, on_retry);
}

void slot_fini(struct slot *s)
{
	timer_del(s->super->loop, &s->retry);
	list_del(&s->waiting);
	release_unref(s->release);
	release_unref(s->accepted);
}

void slot_want(struct slot *s)
{
	if (s->next || s->failed || is_stopping(s) || list_linked(&s->waiting) || timer_is_set(&s->retry))
		return;
	list_append(&s->super->waiting, &s->waiting);
	super_start_waiting(s->super);
}

void slot_begin(struct slot *s)
{
	s->next = ward_new(s, s->release->epoch, s->release->settings.start_timeout);
	ward_open(s->next, s->canary);
}

static void use_release(struct slot *s, struct release *release)
{
	release_ref(release);
	release_unref(s->release);
	s->release = release;
}

static void move_to_draining(struct slot *s, struct ward *w)
{
	list_append(&s->draining, &w->link);
	s->n_draining++;
}

/* Whatever was going to become the next process is called off. */
static void drop_next(struct slot *s)
{
	struct ward *w = s->next;

	timer_del(s->super->loop, &s->retry);
	list_del(&s->waiting);
	s->next = NULL;
	if (!w)
		return;
	move_to_draining(s, w);
	ward_kill(w);
}

/* ---- reload ---------------------------------------------------------------------------------- */

/* It may die as often as a new one. */
static void take_up(struct slot *s)
{
	s->quick_deaths = 0;
	if (!s->failed)
		return;
	s->failed = false;
	s->super->ops->slot_failed(s->super->ctx, s->id, false);
}

void slot_roll(struct slot *s, struct release *release, bool canary)
{
	drop_next(s);
	use_release(s, release);
	s->rolling = true;
	s->canary = canary;
	take_up(s);
	slot_want(s);
}

void slot_admit(struct slot *s)
{
	s->canary = false;
	if (s->next)
		ward_attach(s->next);
}

void slot_commit(struct slot *s)
{
	release_ref(s->release);
	release_unref(s->accepted);
	s->accepted = s->release;
}

void slot_accept(struct slot *s, struct release *release)
{
	use_release(s, release);
	slot_commit(s);
}

static void replace_retired(struct slot *s)
{
	if (s->serving && s->serving->retires && !s->rolling)
		slot_want(s);
}

void slot_unroll(struct slot *s)
{
	drop_next(s);
	use_release(s, s->accepted);
	s->rolling = false;
	s->canary = false;
	if (!s->serving)
		slot_want(s);
	replace_retired(s);
}

static void tell_reload(struct slot *s, enum slot_news news, const char *text)
{
	if (news == SLOT_ATTACHED || news == SLOT_LOST)
		s->rolling = false;
	reload_news(&s->super->reload, s, news, text);
}

void slot_renew(struct slot *s, struct release *release)
{
	slot_accept(s, release);
	if (!s->failed || s->resting)
		return;
	take_up(s);
	slot_want(s);
}

/* ---- what its processes do ------------------------------------------------------------------- */

void slot_on_ready(struct slot *s, struct ward *w)
{
	if (w != s->next)
		return;
	if (s->canary)
		tell_reload(s, SLOT_HELD, "");
	else
		ward_attach(w);
}

/* It says so once, and perhaps before we hear that it is attached: the master gives it work first. */
void slot_on_retire(struct slot *s, struct ward *w)
{
	w->retires = true;
	if (w == s->serving)
		replace_retired(s);
}

void slot_on_attached(struct slot *s, struct ward *w)
{
	struct ward *old = s->serving;

	if (w != s->next)
		return;
	s->next = NULL;
	s->serving = w;
	super_slot_serves(s->super);
	if (old) {
		move_to_draining(s, old);
		ward_stop(old, s->release->settings.max_wait_time, false);
	}
	if (s->rolling)
		tell_reload(s, SLOT_ATTACHED, "");
	replace_retired(s);
}

static void count_death(struct slot *s, const struct ward *w)
{
	bool quick = w->ready_ms == 0 || clock_ms() - w->ready_ms < QUICK_MS;

	s->quick_deaths = quick ? s->quick_deaths + 1 : 0;
}

/* A user process is told from others by the name that the script gave it. */
const char *slot_name(const struct slot *s, char *out, size_t cap)
{
	const struct userproc *p = crew_process(&s->release->settings, s->id);

	if (p && p->name[0])
		snprintf(out, cap, "%s %u (%s)", s->title, s->id, p->name);
	else
		snprintf(out, cap, "%s %u", s->title, s->id);
	return out;
}

/* "task worker 3 (pid 123) died by SIGSEGV" */
static void describe(const struct slot *s, const struct ward *w, int status, char *out, size_t cap)
{
	char how[64], name[96];

	slot_name(s, name, sizeof name);
	if (w->failure[0]) {
		snprintf(out, cap, "%s (pid %d) could not start: %s", name, w->child.pid, w->failure);
		return;
	}
	spawn_status_text(status, how, sizeof how);
	snprintf(out, cap, "%s (pid %d) %s", name, w->child.pid, how);
}

void slot_rest(struct slot *s)
{
	s->failed = true;
	s->resting = true;
}

static void leave_empty(struct slot *s)
{
	s->failed = true;
	s->super->ops->slot_failed(s->super->ctx, s->id, true);
}

/* Starts another one after a while, or gives the slot up. */
static void recover(struct slot *s, const char *what, int status)
{
	const struct userproc *p = crew_process(&s->release->settings, s->id);
	uint64_t most = s->release->settings.worker_max_deaths;
	uint64_t after = backoff(s->quick_deaths);
	/* The function of a user process may return. */
	enum log_level level = p && status == 0 ? LOG_LEVEL_NOTICE : LOG_LEVEL_WARN;

	if (p && !userproc_wants_successor(p, status)) {
		log_line(level, LS_FILE, "%s; it is not started again (restart = \"%s\")", what,
		         userproc_restart_name(p->restart));
		slot_rest(s);
		leave_empty(s);
		return;
	}
	if (s->quick_deaths >= most) {
		log_error("%s; that was the death number %u in a row within a second of its start, so slot %u is left "
		          "empty until a reload",
		          what, s->quick_deaths, s->id);
		leave_empty(s);
		return;
	}
	if (after == 0) {
		log_line(level, LS_FILE, "%s; starting it again at once", what);
		slot_want(s);
		return;
	}
	log_line(level, LS_FILE, "%s; starting it again in %u ms", what, (unsigned)after);
	timer_set(s->super->loop, &s->retry, after);
}

static void on_death(struct slot *s, struct ward *w, int status, bool was_next)
{
	struct evaluate_hook hook = {
		.event = EVENT_worker_error, .worker_id = s->id, .pid = w->child.pid, .status = status
	};
	char what[1280];

	describe(s, w, status, what, sizeof what);
	if (s->super->phase == SUPER_STARTING) {
		super_start_failed(s->super, what);
		return;
	}
	if (w->child.pid > 0)
		super_run_hook(s->super, &hook);
	if (s->rolling && was_next) {
		tell_reload(s, SLOT_LOST, what);
		return;
	}
	count_death(s, w);
	if (s->next) {
		log_warn("%s; its successor is already being started", what);
		return;
	}
	recover(s, what, status);
}

bool slot_mourns(const struct slot *s, const struct ward *w)
{
	return !w->unwanted && !(s->rolling && w == s->next);
}

void slot_on_exit(struct slot *s, struct ward *w, int status)
{
	bool was_next = w == s->next;
	bool was_draining = !was_next && w != s->serving;

	if (was_draining) {
		list_del(&w->link);
		s->n_draining--;
		if (!w->unwanted)
			log_warn("%s %u (pid %d) died while it drained", s->title, s->id, w->child.pid);
	} else if (was_next) {
		s->next = NULL;
	} else {
		s->serving = NULL;
	}
	if (is_stopping(s))
		super_slot_emptied(s->super);
	else if (was_draining)
		tell_reload(s, SLOT_DRAINED, "");
	else
		on_death(s, w, status, was_next);
}

/* ---- all of it ------------------------------------------------------------------------------- */

void slot_adopt(struct slot *s, struct ward *w, uint64_t wait_ms)
{
	if (s->serving) {
		move_to_draining(s, s->serving);
		ward_stop(s->serving, wait_ms, false);
	}
	s->serving = w;
}

void slot_stop(struct slot *s, uint64_t wait_ms)
{
	struct ward *w = s->serving;

	drop_next(s);
	s->serving = NULL;
	if (w)
		move_to_draining(s, w);
	LS_LIST_EACH_SAFE (it, after, &s->draining)
		ward_stop(LS_CONTAINER_OF(it, struct ward, link), wait_ms, true);
}

static void kill_one(struct ward *w, void *arg LS_UNUSED)
{
	ward_kill(w);
}

void slot_kill(struct slot *s)
{
	timer_del(s->super->loop, &s->retry);
	list_del(&s->waiting);
	slot_each(s, kill_one, NULL);
}

bool slot_is_empty(const struct slot *s)
{
	return !s->serving && !s->next && s->n_draining == 0;
}

void slot_each(struct slot *s, void (*fn)(struct ward *w, void *arg), void *arg)
{
	LS_LIST_EACH_SAFE (it, after, &s->draining)
		fn(LS_CONTAINER_OF(it, struct ward, link), arg);
	if (s->serving)
		fn(s->serving, arg);
	if (s->next)
		fn(s->next, arg);
}
