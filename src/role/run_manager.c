#include "role/run_manager.h"

#include "base/log.h"
#include "role/hooks.h"
#include "role/lifeline.h"
#include "role/vault.h"
#include "super/super.h"
#include "sys/fd.h"
#include "sys/sig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct manager {
	struct loop loop;
	struct control control;
	struct watch signals;
	struct super *super;
	struct hooks *hooks;       /* NULL: the app has no handlers for us */
	struct vault_share shared; /* of the accepted release */
	bool replaces;             /* one that died */
	int code;
};

static void leave(struct manager *m, int code)
{
	m->code = code;
	loop_stop(&m->loop);
}

static void tell(struct manager *m, const struct ctl_msg *msg)
{
	/* -EPIPE: the master has gone, which on_end() notices as well. */
	if (control_send(&m->control, msg) == -EAGAIN)
		log_warn("the master does not read its control socket");
}

/* ---- handlers of the app --------------------------------------------------------------------- */

static void open_hooks(struct manager *m, struct release *release)
{
	struct err err = { 0 };

	hooks_close(m->hooks);
	m->hooks = NULL;
	if (m->shared.n != release->settings.shared.n)
		err_set(&err, -EPROTO, "its shared memory did not come");
	else if (hooks_wanted(&release->settings))
		m->hooks = hooks_open(release, m->shared.fds, &err);
	if (err.code)
		log_error("the manager cannot load the app for its handlers: %s", err.text);
}

static void run_hook(struct manager *m, const struct evaluate_hook *hook)
{
	struct err err = { 0 };

	if (m->hooks && hooks_run(m->hooks, hook, &err) < 0)
		log_error("%s", err.text);
}

static void run_plain_hook(struct manager *m, enum settings_event event)
{
	struct evaluate_hook hook = { .event = event };

	run_hook(m, &hook);
}

/* ---- what the supervisor asks ---------------------------------------------------------------- */

static void ask_open(void *ctx, unsigned slot, uint64_t generation, uint64_t epoch, bool canary)
{
	struct ctl_msg msg = {
		.type = CTL_SLOT_OPEN, .slot = slot, .generation = generation, .value = epoch, .extra = canary
	};

	tell(ctx, &msg);
}

static void tell_spawned(void *ctx, unsigned slot, uint64_t generation, const struct child *child)
{
	struct ctl_msg msg = { .type = CTL_SPAWNED,
		               .slot = slot,
		               .generation = generation,
		               .value = (uint64_t)child->pid,
		               .n_fds = 1,
		               .fds = { child->pidfd } };

	tell(ctx, &msg);
}

static void ask_attach(void *ctx, unsigned slot, uint64_t generation)
{
	struct ctl_msg msg = { .type = CTL_ATTACH, .slot = slot, .generation = generation };

	tell(ctx, &msg);
}

static void tell_gone(void *ctx, unsigned slot, uint64_t generation, int status, bool unexpected)
{
	struct ctl_msg msg = {
		.type = CTL_GONE, .slot = slot, .generation = generation, .value = (unsigned)status, .extra = unexpected
	};

	tell(ctx, &msg);
}

static void tell_slot_failed(void *ctx, unsigned slot, bool failed)
{
	struct ctl_msg msg = { .type = CTL_SLOT_STATE, .slot = slot, .value = failed };

	tell(ctx, &msg);
}

static void on_serving(void *ctx)
{
	struct manager *m = ctx;

	control_say(&m->control, CTL_SERVING, 0, 0);
	run_plain_hook(m, EVENT_start);
}

static void on_start_failed(void *ctx, const char *text)
{
	struct manager *m = ctx;

	control_say_text(&m->control, CTL_FAILED, text);
}

static void on_stopped(void *ctx)
{
	struct manager *m = ctx;

	run_plain_hook(m, EVENT_manager_stop);
	run_plain_hook(m, EVENT_shutdown);
	control_say(&m->control, CTL_STOPPED, 0, 0);
	leave(m, 0);
}

static void on_hook(void *ctx, const struct evaluate_hook *hook)
{
	struct manager *m = ctx;

	/* From here on the new code is what counts. */
	if (hook->event == EVENT_after_reload)
		open_hooks(m, m->super->release);
	run_hook(m, hook);
}

static void tell_candidate(void *ctx, struct release *r)
{
	struct ctl_msg msg = { .type = CTL_CANDIDATE, .n_fds = 2, .fds = { r->settings_fd, r->image_fd } };

	tell(ctx, &msg);
}

static void tell_abandon(void *ctx)
{
	struct ctl_msg msg = { .type = CTL_ABANDON };

	tell(ctx, &msg);
}

static void ask_commit(void *ctx, bool tasks_only)
{
	struct ctl_msg msg = { .type = CTL_COMMIT, .value = tasks_only };

	tell(ctx, &msg);
}

static void tell_reloaded(void *ctx, uint64_t tag, const struct err *err)
{
	struct ctl_msg msg = {
		.type = CTL_RESULT,
		.value = tag,
		.extra = err->code == 0,
		.text = str_from(err->code ? err->text : ""),
	};

	tell(ctx, &msg);
}

static const struct super_ops ops = {
	.open = ask_open,
	.spawned = tell_spawned,
	.attach = ask_attach,
	.gone = tell_gone,
	.slot_failed = tell_slot_failed,
	.serving = on_serving,
	.start_failed = on_start_failed,
	.stopped = on_stopped,
	.hook = on_hook,
	.candidate = tell_candidate,
	.abandon = tell_abandon,
	.commit = ask_commit,
	.reloaded = tell_reloaded,
};

/* ---- what the master says -------------------------------------------------------------------- */

static int configure(struct manager *m, struct ctl_msg *msg)
{
	struct err err = { 0 };
	struct launch launch;
	struct release *release;

	if (m->super || launch_unpack(&launch, msg->text) < 0)
		return -EPROTO;
	release = release_new(ctl_take_fd(msg, 0), ctl_take_fd(msg, 1), &err);
	if (!release) {
		log_error("%s", err.text);
		launch_fini(&launch);
		return -EPROTO;
	}
	log_set_level((enum log_level)release->settings.log_level);
	m->super = super_new(&(struct super_opts){
		.loop = &m->loop,
		.ops = &ops,
		.ctx = m,
		.self = CTL_ROLE_MANAGER,
		.release = release,
		.launch = &launch,
		.next_generation = msg->value,
	});
	open_hooks(m, release);
	release_unref(release);
	launch_fini(&launch);
	return 0;
}

static int accept_release(struct manager *m, struct ctl_msg *msg)
{
	struct err err = { 0 };
	struct release *release = release_new(ctl_take_fd(msg, 0), ctl_take_fd(msg, 1), &err);

	if (!release) {
		log_error("%s", err.text);
		return -EPROTO;
	}
	super_accept(m->super, msg->slot, release);
	release_unref(release);
	return 0;
}

static void adopt(struct manager *m, struct ctl_msg *msg)
{
	int control = ctl_take_fd(msg, 0);
	int up = ctl_take_fd(msg, 1);
	struct child child = { .pid = (pid_t)msg->value, .pidfd = ctl_take_fd(msg, 2) };

	super_adopt(m->super, msg->slot, msg->generation, msg->extra, &child, control, up);
}

static void run(struct manager *m, bool replaces)
{
	run_plain_hook(m, EVENT_manager_start);
	if (replaces)
		super_resume(m->super);
	else
		super_start(m->super);
}

static void reopen(struct manager *m, struct ctl_msg *msg)
{
	if (dup2(msg->fds[0], STDOUT_FILENO) < 0 || dup2(msg->fds[0], STDERR_FILENO) < 0)
		log_error("the log cannot be reopened: %s", strerror(errno));
	super_reopen(m->super, msg->fds[0], -1);
}

static void refuse(struct manager *m, const struct ctl_msg *msg)
{
	char text[1024];

	str_copy(msg->text, text, sizeof text);
	super_refused(m->super, msg->slot, msg->generation, text);
}

static int on_order(struct manager *m, struct ctl_msg *msg)
{
	bool has_slot = msg->slot < m->super->n_slots;

	switch (msg->type) {
	case CTL_SLOT_RELEASE:
		return has_slot ? accept_release(m, msg) : -EPROTO;
	case CTL_SLOT_ENDED:
		if (!has_slot)
			return -EPROTO;
		slot_rest(&m->super->slots[msg->slot]);
		return 0;
	case CTL_HAVE:
		if (!has_slot)
			return -EPROTO;
		adopt(m, msg);
		return 0;
	case CTL_RUN:
		run(m, msg->value == 1);
		return 0;
	case CTL_SLOT_FDS: {
		int control = ctl_take_fd(msg, 0), child_end = ctl_take_fd(msg, 1), up = ctl_take_fd(msg, 2);

		super_opened(m->super, msg->slot, msg->generation, control, child_end, up);
		return 0;
	}
	case CTL_SLOT_REFUSED:
		refuse(m, msg);
		return 0;
	case CTL_ATTACHED:
		super_attached(m->super, msg->slot, msg->generation);
		return 0;
	case CTL_EXITED:
		super_exited(m->super, (int)msg->value, (int)msg->extra);
		return 0;
	case CTL_RELOAD:
		super_reload(m->super, msg->value, msg->extra == 1);
		return 0;
	case CTL_COMMITTED:
		super_committed(m->super);
		return 0;
	case CTL_SHUTDOWN:
		super_stop(m->super, msg->value);
		return 0;
	case CTL_REOPEN:
		reopen(m, msg);
		return 0;
	default:
		return -EPROTO;
	}
}

static void on_msg(struct control *c, struct ctl_msg *msg)
{
	struct manager *m = LS_CONTAINER_OF(c, struct manager, control);
	int r;

	if (msg->type == CTL_CONFIG)
		r = configure(m, msg);
	else if (msg->type == CTL_SHARED)
		r = vault_share_take(&m->shared, msg);
	else
		r = m->super ? on_order(m, msg) : -EPROTO;
	if (r < 0) {
		log_error("the master sent %s, which does not fit here; this manager ends", ctl_name(msg->type));
		leave(m, 1);
	}
}

/* The master is gone, and all connections with it; the workers see the same once we have left. */
static void on_end(struct control *c, int why LS_UNUSED)
{
	leave(LS_CONTAINER_OF(c, struct manager, control), 1);
}

static void on_signal(struct watch *w, int events LS_UNUSED)
{
	/* Ctrl-C in a terminal reaches us too; it is the master that acts on it. */
	while (sig_next(w->fd, NULL) != 0)
		;
}

static int open_all(struct manager *m, int control)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, 0 };
	int r = lifeline_start(control);
	int fd = r < 0 ? r : sig_open(signals);

	if (fd < 0)
		return fd;
	r = loop_init(&m->loop);
	if (r == 0)
		r = watch_open(&m->signals, &m->loop, fd, on_signal);
	if (r < 0)
		return r;
	watch_set(&m->signals, WATCH_READ);
	m->control.peer = CTL_ROLE_MASTER;
	m->control.on_msg = on_msg;
	m->control.on_end = on_end;
	return control_open(&m->control, &m->loop, control);
}

int run_manager(int control)
{
	/* It and what it points to are in use until the process ends. */
	static struct manager manager;
	struct manager *m = &manager;
	int r;

	log_identity("manager", -1);
	sig_install_crash_printer("manager", -1);
	fd_raise_limit();
	r = open_all(m, control);
	if (r < 0) {
		log_error("the manager cannot start: %s", strerror(-r));
		return 1;
	}
	control_say_text(&m->control, CTL_HELLO, ctl_build_id());
	loop_run(&m->loop);

	hooks_close(m->hooks);
	/* Wards of workers that still run end with this process. */
	return m->code;
}
