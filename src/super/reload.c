#include "super/reload.h"

#include "base/log.h"
#include "super/super.h"

#include <errno.h>
#include <inttypes.h>

void reload_init(struct reload *r, struct super *super)
{
	*r = (struct reload){ .super = super };
}

static void answer(struct reload *r, const uint64_t *tags, unsigned n, const struct err *err)
{
	for (unsigned i = 0; i < n; i++)
		if (tags[i])
			r->super->ops->reloaded(r->super->ctx, tags[i], err);
}

static void begin(struct reload *r);

/* The end of one reload, and the beginning of the one that was asked for meanwhile. */
static void finish(struct reload *r, const struct err *err)
{
	uint64_t tags[RELOAD_WAITERS_MAX];
	unsigned n = r->n_tags;

	memcpy(tags, r->tags, n * sizeof *tags);
	release_unref(r->candidate);
	r->candidate = NULL;
	r->state = RELOAD_IDLE;
	r->n_tags = r->n_later;
	memcpy(r->tags, r->later, r->n_later * sizeof *r->tags);
	r->n_later = 0;
	r->tasks_only = r->later_tasks_only;
	answer(r, tags, n, err);
	if (r->n_tags && r->super->phase == SUPER_RUNNING)
		begin(r);
}

static void refuse(struct reload *r, const struct err *err)
{
	/* The text may begin with a file's name or a setting's. */
	log_error("the reload was refused, generation %" PRIu64 " serves on: %s", r->super->epoch, err->text);
	finish(r, err);
}

/* ---- undo ------------------------------------------------------------------------------------ */

static void unroll_next(struct reload *r)
{
	struct super *s = r->super;

	for (; r->cursor < s->n_slots; r->cursor++) {
		struct slot *slot = &s->slots[r->cursor];

		if (slot->serving && slot->serving->epoch == r->candidate->epoch) {
			slot_roll(slot, slot->accepted, false);
			return;
		}
		if (slot->release == r->candidate)
			slot_unroll(slot);
	}
	s->ops->abandon(s->ctx);
	refuse(r, &r->err);
}

static void unroll(struct reload *r, const char *text)
{
	err_set(&r->err, -ECANCELED, "%s", text);
	r->state = RELOAD_UNROLL;
	r->cursor = 0;
	r->parked = false;
	unroll_next(r);
}

/* ---- which slots ---------------------------------------------------------------------------- */

static bool covers(const struct reload *r, unsigned slot)
{
	if (slot >= r->super->n_slots)
		return true;
	switch (r->super->slots[slot].kind) {
	case CREW_WORKER:
		return !r->tasks_only;
	case CREW_TASK:
		return true;
	default:
		return false; /* a user process goes on */
	}
}

/* The first slot from `slot` on that is rolled, or how many there are. */
static unsigned next_covered(const struct reload *r, unsigned slot)
{
	while (!covers(r, slot))
		slot++;
	return slot;
}

/* ---- roll ------------------------------------------------------------------------------------ */

static void roll_slot(struct reload *r)
{
	struct slot *slot = &r->super->slots[r->cursor];

	/* Generations that still drain take memory: they are not piled up. */
	r->parked = slot->n_draining >= RELOAD_DRAINING_MAX;
	if (!r->parked)
		slot_roll(slot, r->candidate, false);
}

static void roll_next(struct reload *r)
{
	struct super *s = r->super;

	r->cursor = next_covered(r, r->cursor + 1);
	r->tries = 0;
	if (r->cursor < s->n_slots) {
		roll_slot(r);
		return;
	}
	r->state = RELOAD_COMMIT;
	s->ops->commit(s->ctx, r->tasks_only);
}

void reload_committed(struct reload *r)
{
	struct super *s = r->super;
	struct evaluate_hook hook = { .event = EVENT_after_reload };
	struct err none = { 0 };

	if (r->state != RELOAD_COMMIT)
		return;
	for (unsigned i = 0; i < s->n_slots; i++)
		if (covers(r, i))
			slot_commit(&s->slots[i]);
		else if (!r->tasks_only)
			slot_renew(&s->slots[i], r->candidate);
	s->epoch = r->candidate->epoch;
	if (!r->tasks_only) {
		release_unref(s->release);
		s->release = release_ref(r->candidate);
	}
	log_notice("the reload is committed: generation %" PRIu64 " serves%s", s->epoch,
	           r->tasks_only ? " in the task workers" : "");
	super_run_hook(s, &hook);
	finish(r, &none);
}

/* ---- evaluate -------------------------------------------------------------------------------- */

/* The kernel chose some numbers; the candidate gets what was bound. */
static int make_candidate(struct reload *r, struct release *candidate, struct err *err)
{
	const struct settings *old = &r->super->release->settings;
	struct settings *new = &candidate->settings;

	struct err names = { 0 };

	if (settings_diff(old, new, &names) == RELOAD_RESTART)
		return err_set(err, -EBUSY, "a restart is needed to change %s", names.text);
	for (unsigned i = 0; i < new->n_ports &&i < old->n_ports; i++)
		new->ports[i].address = old->ports[i].address;
	new->generation = r->super->epoch + 1;
	return release_refreeze(candidate, err);
}

static void on_evaluated(void *ctx, struct release *release, const struct err *err)
{
	struct reload *r = ctx;
	struct super *s = r->super;
	struct err why = { 0 };

	r->evaluate = NULL;
	if (err->code) {
		refuse(r, err);
		return;
	}
	r->candidate = release;
	if (make_candidate(r, release, &why) < 0) {
		refuse(r, &why);
		return;
	}
	s->ops->candidate(s->ctx, release);
	r->state = RELOAD_CANARY;
	r->cursor = next_covered(r, 0);
	r->tries = 0;
	slot_roll(&s->slots[r->cursor], release, true);
}

static void begin(struct reload *r)
{
	struct super *s = r->super;
	struct evaluate_opts opts = {
		.loop = s->loop,
		.self = s->self,
		.out = log_fd(),
		.timeout_ms = s->release->settings.eval_timeout,
		.done = on_evaluated,
		.ctx = r,
	};
	struct err err;

	r->state = RELOAD_EVAL;
	r->evaluate = evaluate_script(&opts, &s->launch, &err);
	if (!r->evaluate)
		refuse(r, &err);
}

void reload_request(struct reload *r, uint64_t tag, bool tasks_only)
{
	struct err err;

	if (tasks_only && r->super->release->settings.task_worker_num == 0) {
		err_set(&err, -EINVAL, "this server has no task workers");
		answer(r, &tag, 1, &err);
		return;
	}
	if (r->super->phase != SUPER_RUNNING) {
		err_set(&err, -EAGAIN, "the server is not running yet or stops already");
		answer(r, &tag, 1, &err);
		return;
	}
	if (r->state == RELOAD_IDLE) {
		r->tags[r->n_tags++] = tag;
		r->tasks_only = tasks_only;
		begin(r);
		return;
	}
	if (r->n_later == RELOAD_WAITERS_MAX) {
		err_set(&err, -EBUSY, "a reload runs and %d others wait for the next", RELOAD_WAITERS_MAX);
		answer(r, &tag, 1, &err);
		return;
	}
	/* One for all who asked meanwhile, as much as any of them wants. */
	r->later_tasks_only = tasks_only && (r->n_later == 0 || r->later_tasks_only);
	r->later[r->n_later++] = tag;
}

void reload_cancel(struct reload *r, const char *why)
{
	struct err err;

	if (r->state == RELOAD_IDLE)
		return;
	if (r->evaluate)
		evaluate_cancel(r->evaluate);
	r->evaluate = NULL;
	err_set(&err, -ECANCELED, "%s", why);
	answer(r, r->later, r->n_later, &err);
	r->n_later = 0;
	finish(r, &err);
}

/* ---- news of the slots ----------------------------------------------------------------------- */

static void on_held(struct reload *r, struct slot *slot)
{
	struct evaluate_hook hook = { .event = EVENT_before_reload };

	super_run_hook(r->super, &hook);
	r->state = RELOAD_ROLL;
	slot_admit(slot);
}

static void on_lost(struct reload *r, struct slot *slot, const char *text)
{
	struct super *s = r->super;
	struct err err;

	if (r->state == RELOAD_CANARY) {
		slot_unroll(slot);
		s->ops->abandon(s->ctx);
		err_set(&err, -ECANCELED, "%s", text);
		refuse(r, &err);
	} else if (r->state == RELOAD_ROLL && ++r->tries < RELOAD_TRIES) {
		log_warn("%s; the reload tries again", text);
		roll_slot(r);
	} else if (r->state == RELOAD_ROLL) {
		unroll(r, text);
	} else {
		slot_unroll(slot);
		r->cursor++;
		unroll_next(r);
	}
}

void reload_news(struct reload *r, struct slot *slot, enum slot_news news, const char *text)
{
	bool rolls = r->state >= RELOAD_CANARY && r->state <= RELOAD_UNROLL;

	if (!rolls || slot != &r->super->slots[r->cursor])
		return;
	switch (news) {
	case SLOT_HELD:
		on_held(r, slot);
		break;
	case SLOT_ATTACHED:
		if (r->state == RELOAD_ROLL) {
			roll_next(r);
		} else {
			r->cursor++;
			unroll_next(r);
		}
		break;
	case SLOT_LOST:
		on_lost(r, slot, text);
		break;
	case SLOT_DRAINED:
		if (r->parked)
			roll_slot(r);
		break;
	}
}
