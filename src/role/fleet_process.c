/* The fleet of process mode: a manager process supervises; when it dies, another one takes over what it
 * left. */
#include "role/fleet.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/foreman.h"
#include "sys/fd.h"

#include <stdlib.h>
#include <string.h>

enum {
	QUICK_MS = 1000,
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 5000,
	TAGS_MAX = 64, /* reloads that were asked for and not answered */
};

struct process_fleet {
	struct fleet base;
	struct foreman *manager; /* NULL: between two */
	struct timer retry;
	unsigned quick_deaths;
	bool serving; /* it served once */
	bool failed;  /* it could not start; on_stopped is still to come */
	bool stopping;
	bool stopped;
	uint64_t stop_at; /* loop time */
	uint64_t tags[TAGS_MAX];
	unsigned n_tags;
};

static struct process_fleet *of(struct fleet *f)
{
	return LS_CONTAINER_OF(f, struct process_fleet, base);
}

/* ---- reloads that wait for an answer --------------------------------------------------------- */

static void answer(struct process_fleet *f, uint64_t tag, bool done, const char *text)
{
	for (unsigned i = 0; i < f->n_tags; i++)
		if (f->tags[i] == tag) {
			f->tags[i] = f->tags[--f->n_tags];
			f->base.on_reloaded(f->base.ctx, tag, done, text);
			return;
		}
}

static void answer_all(struct process_fleet *f, const char *text)
{
	while (f->n_tags)
		answer(f, f->tags[0], false, text);
}

static void reload(struct fleet *base, uint64_t tag, bool tasks_only)
{
	struct process_fleet *f = of(base);

	if (!f->manager || !f->serving || f->stopping || f->n_tags == TAGS_MAX) {
		base->on_reloaded(base->ctx, tag, false, "the manager is not ready for a reload; try again");
		return;
	}
	if (tag)
		f->tags[f->n_tags++] = tag;
	control_say(&f->manager->control, CTL_RELOAD, tag, tasks_only);
}

/* ---- what the manager asks ------------------------------------------------------------------- */

static void open_slot(struct foreman *m, const struct ctl_msg *msg)
{
	struct process_fleet *f = m->ctx;
	struct ctl_msg reply = { .type = CTL_SLOT_FDS, .slot = msg->slot, .generation = msg->generation, .n_fds = 3 };
	struct keeper_fds fds;
	struct err err = { 0 };

	if (keeper_open(f->base.keeper, msg->slot, msg->generation, msg->value, msg->extra == 1, m->child.pid, &fds,
	                &err) < 0) {
		reply.type = CTL_SLOT_REFUSED;
		reply.n_fds = 0;
		reply.text = str_from(err.text);
		control_send(&m->control, &reply);
		return;
	}
	reply.fds[0] = fds.control;
	reply.fds[1] = fds.child_end;
	reply.fds[2] = fds.up;
	control_send(&m->control, &reply);
	fd_close(&fds.control);
	fd_close(&fds.child_end);
	fd_close(&fds.up);
}

static void try_candidate(struct process_fleet *f, struct ctl_msg *msg)
{
	struct err err;
	struct release *r = release_new(ctl_take_fd(msg, 0), ctl_take_fd(msg, 1), &err);

	if (r)
		keeper_try(f->base.keeper, r);
	else
		log_error("the manager's candidate cannot be read: %s", err.text);
}

static void on_result(struct process_fleet *f, const struct ctl_msg *msg)
{
	char text[1024];

	str_copy(msg->text, text, sizeof text);
	answer(f, msg->value, msg->extra == 1, text);
}

static void on_failed(struct process_fleet *f, const struct ctl_msg *msg)
{
	char text[4097];

	str_copy(msg->text, text, sizeof text);
	if (!f->serving && !f->failed) {
		f->failed = true;
		f->base.on_start_failed(f->base.ctx, text);
	}
}

static void on_stopped(struct process_fleet *f)
{
	if (f->stopped)
		return;
	f->stopped = true;
	timer_del(f->base.loop, &f->retry);
	answer_all(f, "the server stops");
	f->base.on_stopped(f->base.ctx);
}

static void on_msg(struct foreman *m, struct ctl_msg *msg)
{
	struct process_fleet *f = m->ctx;
	struct keeper *k = f->base.keeper;

	switch (msg->type) {
	case CTL_SLOT_OPEN:
		open_slot(m, msg);
		break;
	case CTL_SPAWNED:
		keeper_spawned(k, msg->slot, msg->generation, (pid_t)msg->value, ctl_take_fd(msg, 0));
		break;
	case CTL_ATTACH:
		keeper_attach(k, msg->slot, msg->generation);
		break;
	case CTL_GONE:
		keeper_gone(k, msg->slot, msg->generation, (int)msg->value, msg->extra == 1);
		break;
	case CTL_SLOT_STATE:
		keeper_slot_failed(k, msg->slot, msg->value == 1);
		break;
	case CTL_SERVING:
		f->serving = true;
		f->base.on_serving(f->base.ctx);
		break;
	case CTL_FAILED:
		on_failed(f, msg);
		break;
	case CTL_STOPPED:
		on_stopped(f);
		break;
	case CTL_CANDIDATE:
		try_candidate(f, msg);
		break;
	case CTL_ABANDON:
		keeper_abandon(k);
		break;
	case CTL_COMMIT:
		keeper_commit(k, msg->value == 1);
		break;
	case CTL_RESULT:
		on_result(f, msg);
		break;
	default:
		log_error("the manager sent %s, which no manager sends; it is killed", ctl_name(msg->type));
		foreman_kill(m);
		break;
	}
}

/* ---- managers come and go -------------------------------------------------------------------- */

static uint64_t backoff(unsigned quick_deaths)
{
	if (quick_deaths <= 1)
		return 0;
	return quick_deaths > 7 ? BACKOFF_MAX_MS
	                        : LS_MIN((uint64_t)BACKOFF_FIRST_MS << (quick_deaths - 2), (uint64_t)BACKOFF_MAX_MS);
}

static void on_manager_ended(struct foreman *m, int status)
{
	struct process_fleet *f = m->ctx;
	char how[64];

	f->manager = NULL;
	if (f->stopped)
		return;

	spawn_status_text(status, how, sizeof how);
	keeper_forget_unfinished(f->base.keeper);
	if (!f->serving) {
		if (!f->failed)
			f->base.on_start_failed(f->base.ctx, "the manager died while the server started");
		on_stopped(f);
		return;
	}
	f->quick_deaths = clock_ms() - m->started_ms < QUICK_MS ? f->quick_deaths + 1 : 0;
	log_warn("the manager (pid %d) %s; starting another in %u ms, the workers go on", m->child.pid, how,
	         (unsigned)backoff(f->quick_deaths));
	answer_all(f, "the manager died during the reload, which is undone");
	timer_set(f->base.loop, &f->retry, backoff(f->quick_deaths));
}

/* For the app's handlers in the manager. */
static void send_shared(struct process_fleet *f)
{
	const struct keeper *k = f->base.keeper;
	int r = vault_send(&k->vault, &k->accepted->settings.shared, f->manager->control.watch.fd);

	if (r < 0)
		log_error("the manager cannot be given the shared memory: %s", strerror(-r));
}

static void send_config(struct process_fleet *f)
{
	struct fleet *base = &f->base;
	struct release *r = base->keeper->accepted;
	char *text = xalloc(LAUNCH_BYTES_MAX);
	ssize_t len = launch_pack(base->launch, text, LAUNCH_BYTES_MAX);
	struct ctl_msg config = {
		.type = CTL_CONFIG,
		.value = base->keeper->next_generation,
		.text = str_make(text, len < 0 ? 0 : (size_t)len),
		.n_fds = 2,
		.fds = { r->settings_fd, r->image_fd },
	};

	control_send(&f->manager->control, &config);
	free(text);
}

static void send_slot_releases(struct process_fleet *f)
{
	struct keeper *k = f->base.keeper;

	for (unsigned i = 0; i < k->n_slots; i++) {
		const struct release *r = k->slots[i].release;
		struct ctl_msg msg = {
			.type = CTL_SLOT_RELEASE, .slot = i, .n_fds = 2, .fds = { r->settings_fd, r->image_fd }
		};

		if (r != k->accepted)
			control_send(&f->manager->control, &msg);
	}
}

static void send_slot_ends(struct process_fleet *f)
{
	for (unsigned i = 0; i < f->base.keeper->n_slots; i++) {
		struct ctl_msg msg = { .type = CTL_SLOT_ENDED, .slot = i };

		if (keeper_has_ended(f->base.keeper, i))
			control_send(&f->manager->control, &msg);
	}
}

/* What an earlier manager left: processes that serve, the older ones of a slot first. */
static void send_heritage(struct process_fleet *f)
{
	LS_LIST_EACH (it, &f->base.keeper->gens) {
		struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);
		struct ctl_msg have = {
			.type = CTL_HAVE,
			.slot = g->slot,
			.generation = g->generation,
			.value = (uint64_t)g->child.pid,
			.extra = g->epoch,
			.n_fds = 3,
			.fds = { g->control, g->fds.up, g->child.pidfd },
		};

		control_send(&f->manager->control, &have);
	}
}

static void send_ends(struct process_fleet *f)
{
	LS_LIST_EACH (it, &f->base.keeper->gens) {
		struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		if (g->ended)
			control_say(&f->manager->control, CTL_EXITED, (uint64_t)g->child.pid, (unsigned)g->status);
	}
}

static uint64_t time_left(const struct process_fleet *f)
{
	uint64_t now = loop_now(f->base.loop);

	return f->stop_at > now ? f->stop_at - now : 0;
}

static int start_manager(struct process_fleet *f, struct err *err)
{
	struct foreman_opts opts = { .loop = f->base.loop, .on_msg = on_msg, .on_ended = on_manager_ended, .ctx = f };

	f->manager = foreman_start(&opts, err);
	if (!f->manager)
		return err->code;
	send_shared(f);
	send_config(f);
	send_slot_releases(f);
	send_slot_ends(f);
	send_heritage(f);
	control_say(&f->manager->control, CTL_RUN, f->serving, 0);
	send_ends(f);
	if (f->stopping)
		control_say(&f->manager->control, CTL_SHUTDOWN, time_left(f), 0);
	return 0;
}

static void on_retry(struct timer *t)
{
	struct process_fleet *f = LS_CONTAINER_OF(t, struct process_fleet, retry);
	struct err err = { 0 };

	if (start_manager(f, &err) < 0) {
		log_error("%s; trying again", err.text);
		timer_set(f->base.loop, t, BACKOFF_MAX_MS);
	}
}

/* ---- for the master -------------------------------------------------------------------------- */

static int start(struct fleet *base, struct err *err)
{
	return start_manager(of(base), err);
}

static void stop(struct fleet *base, uint64_t wait_ms)
{
	struct process_fleet *f = of(base);

	f->stopping = true;
	f->stop_at = loop_now(base->loop) + wait_ms;
	if (f->manager)
		control_say(&f->manager->control, CTL_SHUTDOWN, wait_ms, 0);
	else if (!timer_is_set(&f->retry))
		on_stopped(f);
}

static void reopen(struct fleet *base, int log, int access_log LS_UNUSED)
{
	struct process_fleet *f = of(base);
	struct ctl_msg m = { .type = CTL_REOPEN, .n_fds = 1, .fds = { log } };

	if (f->manager)
		control_send(&f->manager->control, &m);
}

static bool exited(struct fleet *base, pid_t pid, int status)
{
	struct process_fleet *f = of(base);
	struct keeper_gen *g = keeper_by_pid(base->keeper, pid);

	if (f->manager && f->manager->child.pid == pid) {
		foreman_ended(f->manager, status);
		return true;
	}
	if (!g)
		return false;
	/* An orphan of a manager that died: only we can reap it. */
	g->ended = true;
	g->status = status;
	if (f->manager)
		control_say(&f->manager->control, CTL_EXITED, (uint64_t)pid, (unsigned)status);
	return true;
}

static void attached(struct fleet *base, unsigned slot, uint64_t generation)
{
	struct process_fleet *f = of(base);
	struct ctl_msg m = { .type = CTL_ATTACHED, .slot = slot, .generation = generation };

	if (f->manager)
		control_send(&f->manager->control, &m);
}

static void committed(struct fleet *base)
{
	struct process_fleet *f = of(base);

	if (!f->manager)
		return;
	send_shared(f);
	control_say(&f->manager->control, CTL_COMMITTED, 0, 0);
}

static pid_t manager_pid(const struct fleet *base)
{
	const struct process_fleet *f = LS_CONTAINER_OF(base, const struct process_fleet, base);

	return f->manager ? f->manager->child.pid : 0;
}

static void free_fleet(struct fleet *base)
{
	struct process_fleet *f = of(base);

	timer_del(base->loop, &f->retry);
	if (f->manager)
		foreman_close(f->manager);
	free(f);
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

struct fleet *fleet_process_new(const struct fleet *base)
{
	struct process_fleet *f = xzalloc(sizeof *f);

	f->base = *base;
	f->base.ops = &ops;
	timer_init(&f->retry, on_retry);
	return &f->base;
}
