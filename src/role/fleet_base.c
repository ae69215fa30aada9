/* The fleet of base mode: the supervisor stands in the master, which accepts no connection itself. The
 * app's lifecycle handlers run in short-lived eval children, since the master runs no app code.
 */
#include "role/fleet.h"

#include "base/log.h"
#include "base/mem.h"
#include "super/super.h"

#include <stdlib.h>

enum { HOOKS_AT_STOP = 2, HOOK_RUNS_MAX = 16 };

struct base_fleet {
	struct fleet base;
	struct super *super;
	struct list hooks;  /* struct hook_run: one runs at a time, in the order of what happened; the first runs now */
	unsigned hook_runs; /* how many those are */
	unsigned stop_hooks; /* of HOOKS_AT_STOP: how many were begun */
	bool stopped;        /* no worker is left */
};

struct hook_run {
	struct list link;
	struct base_fleet *fleet;
	struct evaluate_hook hook;
};

static struct base_fleet *of(struct fleet *f)
{
	return LS_CONTAINER_OF(f, struct base_fleet, base);
}

/* ---- handlers of the app --------------------------------------------------------------------- */

static void run_stop_hooks(struct base_fleet *f);
static void run_first_hook(struct base_fleet *f);

static void drop_hook(struct hook_run *run)
{
	run->fleet->hook_runs--;
	list_del(&run->link);
	free(run);
}

static void on_hook_done(void *ctx, struct release *release, const struct err *err)
{
	struct hook_run *run = ctx;
	struct base_fleet *f = run->fleet;

	release_unref(release);
	if (err->code)
		log_error("the %s handler: %s", settings_event_name((int)run->hook.event), err->text);
	drop_hook(run);
	run_first_hook(f);
	if (f->stopped)
		run_stop_hooks(f);
}

/* Starts the handler that is first in the queue; those that cannot be started are left out. */
static void run_first_hook(struct base_fleet *f)
{
	struct list *first;

	while ((first = list_first(&f->hooks))) {
		struct hook_run *run = LS_CONTAINER_OF(first, struct hook_run, link);
		struct release *release = f->super->release;
		struct vault_share shared;
		struct evaluate_opts opts = {
			.loop = f->base.loop,
			.self = CTL_ROLE_MASTER,
			.out = log_fd(),
			.timeout_ms = release->settings.eval_timeout,
			.done = on_hook_done,
			.shared = shared.fds,
			.n_shared = release->settings.shared.n,
			.ctx = run,
		};
		struct err err;

		vault_share(&f->base.keeper->vault, &release->settings.shared, &shared);
		if (evaluate_hook(&opts, release, &run->hook, &err))
			return;
		log_error("%s", err.text);
		drop_hook(run);
	}
}

/* False: the app has no such handler, or too many wait. */
static bool begin_hook(struct base_fleet *f, const struct evaluate_hook *hook)
{
	struct hook_run *run;

	if (!(f->super->release->settings.events & 1ULL << hook->event))
		return false;
	if (f->hook_runs == HOOK_RUNS_MAX) {
		log_warn("too many handlers wait already; one %s is left out", settings_event_name((int)hook->event));
		return false;
	}
	run = xzalloc(sizeof *run);
	*run = (struct hook_run){ .fleet = f, .hook = *hook };
	list_append(&f->hooks, &run->link);
	if (f->hook_runs++ == 0)
		run_first_hook(f);
	return f->hook_runs > 0;
}

static bool begin_plain_hook(struct base_fleet *f, enum settings_event event)
{
	struct evaluate_hook hook = { .event = event };

	return begin_hook(f, &hook);
}

/* One after the other; the server has stopped when both have ended. */
static void run_stop_hooks(struct base_fleet *f)
{
	static const enum settings_event events[HOOKS_AT_STOP] = { EVENT_manager_stop, EVENT_shutdown };

	if (f->hook_runs > 0)
		return;
	while (f->stop_hooks < HOOKS_AT_STOP)
		if (begin_plain_hook(f, events[f->stop_hooks++]))
			return;
	f->base.on_stopped(f->base.ctx);
}

/* ---- what the supervisor asks, answered by the keeper at once -------------------------------- */

static void open_slot(void *ctx, unsigned slot, uint64_t generation, uint64_t epoch, bool canary)
{
	struct base_fleet *f = ctx;
	struct keeper_fds fds;
	struct err err = { 0 };

	if (keeper_open(f->base.keeper, slot, generation, epoch, canary, 0, &fds, &err) < 0)
		super_refused(f->super, slot, generation, err.text);
	else
		super_opened(f->super, slot, generation, fds.control, fds.child_end, fds.up);
}

static void spawned(void *ctx, unsigned slot, uint64_t generation, const struct child *child)
{
	struct base_fleet *f = ctx;

	/* The supervisor signals it; the keeper only needs its number. */
	keeper_spawned(f->base.keeper, slot, generation, child->pid, -1);
}

static void attach(void *ctx, unsigned slot, uint64_t generation)
{
	struct base_fleet *f = ctx;

	keeper_attach(f->base.keeper, slot, generation);
}

static void gone(void *ctx, unsigned slot, uint64_t generation, int status, bool unexpected)
{
	struct base_fleet *f = ctx;

	keeper_gone(f->base.keeper, slot, generation, status, unexpected);
}

static void slot_failed(void *ctx, unsigned slot, bool failed)
{
	struct base_fleet *f = ctx;

	keeper_slot_failed(f->base.keeper, slot, failed);
}

static void serving(void *ctx)
{
	struct base_fleet *f = ctx;

	f->base.on_serving(f->base.ctx);
	begin_plain_hook(f, EVENT_manager_start);
	begin_plain_hook(f, EVENT_start);
}

static void start_failed(void *ctx, const char *text)
{
	struct base_fleet *f = ctx;

	f->stop_hooks = HOOKS_AT_STOP; /* the app has not been told of a start either */
	f->base.on_start_failed(f->base.ctx, text);
}

static void stopped(void *ctx)
{
	struct base_fleet *f = ctx;

	f->stopped = true;
	run_stop_hooks(f);
}

static void hook(void *ctx, const struct evaluate_hook *h)
{
	begin_hook(ctx, h);
}

static void candidate(void *ctx, struct release *r)
{
	struct base_fleet *f = ctx;

	keeper_try(f->base.keeper, release_ref(r));
}

static void abandon(void *ctx)
{
	struct base_fleet *f = ctx;

	keeper_abandon(f->base.keeper);
}

static void commit(void *ctx, bool tasks_only)
{
	struct base_fleet *f = ctx;

	keeper_commit(f->base.keeper, tasks_only);
}

static void reloaded(void *ctx, uint64_t tag, const struct err *err)
{
	struct base_fleet *f = ctx;

	f->base.on_reloaded(f->base.ctx, tag, err->code == 0, err->code ? err->text : "");
}

static const struct super_ops super_side = {
	.open = open_slot,
	.spawned = spawned,
	.attach = attach,
	.gone = gone,
	.slot_failed = slot_failed,
	.serving = serving,
	.start_failed = start_failed,
	.stopped = stopped,
	.hook = hook,
	.candidate = candidate,
	.abandon = abandon,
	.commit = commit,
	.reloaded = reloaded,
};

/* ---- for the master -------------------------------------------------------------------------- */

static int start(struct fleet *base, struct err *err LS_UNUSED)
{
	super_start(of(base)->super);
	return 0;
}

static void reload(struct fleet *base, uint64_t tag, bool tasks_only)
{
	super_reload(of(base)->super, tag, tasks_only);
}

static void stop(struct fleet *base, uint64_t wait_ms)
{
	super_stop(of(base)->super, wait_ms);
}

static void reopen(struct fleet *base, int log, int access_log)
{
	super_reopen(of(base)->super, log, access_log);
}

static bool exited(struct fleet *base, pid_t pid, int status)
{
	return super_exited(of(base)->super, pid, status);
}

static void attached(struct fleet *base, unsigned slot, uint64_t generation)
{
	super_attached(of(base)->super, slot, generation);
}

static void committed(struct fleet *base)
{
	super_committed(of(base)->super);
}

static pid_t manager_pid(const struct fleet *base LS_UNUSED)
{
	return 0;
}

static void free_fleet(struct fleet *base)
{
	super_free(of(base)->super);
	free(of(base));
}

static const struct fleet_ops ops = {
	.start = start,
	.reload = reload,
	.stop = stop,
	.reopen = reopen,
	.exited = exited,
	.attached = attached,
	.committed = committed,
	.manager_pid = manager_pid,
	.free = free_fleet,
};

struct fleet *fleet_base_new(const struct fleet *base)
{
	struct base_fleet *f = xzalloc(sizeof *f);

	list_init(&f->hooks);
	f->base = *base;
	f->base.ops = &ops;
	f->super = super_new(&(struct super_opts){
		.loop = base->loop,
		.ops = &super_side,
		.ctx = f,
		.self = CTL_ROLE_MASTER,
		.release = base->keeper->accepted,
		.launch = base->launch,
		.next_generation = base->keeper->next_generation,
	});
	return &f->base;
}
