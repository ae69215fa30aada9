#include "role/run_worker.h"

#include "api/api_signal.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "role/engine.h"
#include "role/mesh.h"
#include "role/peers.h"
#include "role/vault.h"
#include "role/lifeline.h"
#include "role/taskbox.h"
#include "super/control.h"
#include "sys/fd.h"
#include "sys/proc.h"
#include "sys/sig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REACTORS_MAX = 255 };

struct worker_role {
	struct loop loop;
	struct control control;
	struct watch signals;
	struct release *release;
	struct engine_opts setup;
	struct engine *engine;
	struct mesh *mesh; /* NULL: not yet */
	int bells[REACTORS_MAX];
	unsigned n_bells;
	int listeners[SETTINGS_PORTS_MAX];
	unsigned n_listeners; /* that came; setup.n_listeners are expected */
	struct vault_share shared;
	bool loaded;
	int code;
};

/* Not loaded yet: nothing would be lost. */
static void leave(struct worker_role *w, int code)
{
	w->code = code;
	loop_stop(&w->loop);
}

static void fail(struct worker_role *w, const char *text)
{
	control_say_text(&w->control, CTL_FAILED, text);
	leave(w, 1);
}

/* ---- what the engine tells ------------------------------------------------------------------- */

static void on_loaded(void *ctx, const struct err *err)
{
	struct worker_role *w = ctx;

	if (err->code) {
		fail(w, err->text);
		return;
	}
	w->loaded = true;
	control_say(&w->control, CTL_READY, 0, 0);
}

/* It finishes what it has begun. */
static void end_process(struct worker_role *w)
{
	engine_stop(w->engine, w->release->settings.max_wait_time, false);
}

/* A worker is replaced before it leaves; of a user process there is one at a time. */
static void on_retire(void *ctx)
{
	struct worker_role *w = ctx;

	if (crew_kind(&w->release->settings, w->setup.slot) == CREW_PROCESS)
		end_process(w);
	else
		control_say(&w->control, CTL_RETIRE, 0, 0);
}

static void on_finished(void *ctx, int code)
{
	struct worker_role *w = ctx;

	w->code = code;
	end_process(w);
}

static void on_stopped(void *ctx)
{
	struct worker_role *w = ctx;

	leave(w, w->code);
}

/* ---- other processes ---------------------------------------------------------------------------- */

static int on_up(void *ctx, struct link *back, const struct frame *f, struct str payload)
{
	struct worker_role *w = ctx;

	return w->loaded ? engine_on_up(w->engine, back, f, payload) : 0;
}

static int on_down(void *ctx, const struct frame *f, struct str payload)
{
	struct worker_role *w = ctx;

	return w->loaded ? engine_on_down(w->engine, f, payload) : 0;
}

static void on_lane(void *ctx, unsigned slot, struct link *lane)
{
	struct worker_role *w = ctx;

	if (w->engine)
		engine_attach_peer(w->engine, slot, lane);
}

static void on_peer(void *ctx, unsigned slot, uint64_t generation, struct link *line, int board_fd)
{
	struct worker_role *w = ctx;

	if (w->engine)
		engine_meet(w->engine, slot, generation, line, board_fd);
	else
		fd_close(&board_fd);
}

static void on_gone(void *ctx, unsigned slot, uint64_t generation, pid_t pid, int status)
{
	struct worker_role *w = ctx;

	if (w->engine)
		engine_part(w->engine, slot, generation, pid, status);
}

static int on_side(void *ctx, unsigned slot, uint64_t generation, const struct frame *f, struct str payload)
{
	struct worker_role *w = ctx;

	return w->engine ? engine_on_side(w->engine, slot, generation, f, payload) : 0;
}

static int take_inbox(struct worker_role *w, struct ctl_msg *m)
{
	const struct settings *s = w->release ? &w->release->settings : NULL;
	struct mesh_opts o = {
		.loop = &w->loop,
		.slot = w->setup.slot,
		.generation = w->setup.generation,
		.on_up = on_up,
		.on_down = on_down,
		.on_lane = on_lane,
		.on_peer = on_peer,
		.on_gone = on_gone,
		.on_side = on_side,
		.ctx = w,
	};

	if (!s || w->mesh)
		return -EPROTO;
	o.lanes = w->setup.reactors ? 0 : (unsigned)s->worker_num;
	o.backlog_max = s->link_backlog_size;
	o.whole_max = engine_whole_max(s);
	w->mesh = mesh_new(&o);
	return mesh_listen(w->mesh, ctl_take_fd(m, 0));
}

static int take_queue(struct worker_role *w, struct ctl_msg *m)
{
	int r = 0;

	if (!w->release || w->setup.queue >= 0)
		return -EPROTO;
	w->setup.queue = (int)m->value;
	w->setup.server = m->extra;
	if (w->release->settings.message_queue_key == 0)
		r = taskbox_guard(w->setup.queue, ctl_take_fd(m, 0));
	if (r < 0)
		log_error("the task queue is not removed if the master is killed: %s", strerror(-r));
	return 0;
}

static int take_peers(struct worker_role *w, struct ctl_msg *m)
{
	if (!w->mesh || m->n_fds % 2 || m->text.len != (size_t)m->n_fds / 2 * sizeof(struct peers_entry))
		return -EPROTO;
	for (int i = 0; i < m->n_fds / 2; i++) {
		struct peers_entry e;

		memcpy(&e, m->text.p + (size_t)i * sizeof e, sizeof e);
		mesh_add(w->mesh, e.slot, e.generation, ctl_take_fd(m, 2 * i), ctl_take_fd(m, 2 * i + 1));
	}
	return 0;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

static int take_setup(struct worker_role *w, struct ctl_msg *m)
{
	static const char *const roles[] = { "worker", "task", "process" };
	struct engine_opts *o = &w->setup;
	const char *role;
	struct err err = { 0 };

	if (w->release || m->value > REACTORS_MAX || m->extra > SETTINGS_PORTS_MAX || m->n_fds != (m->value ? 6 : 5))
		return -EPROTO;
	w->release = release_new(ctl_take_fd(m, 0), ctl_take_fd(m, 1), &err);
	if (w->release && m->slot >= crew_count(&w->release->settings))
		return -EPROTO;
	if (!w->release) {
		fail(w, err.text);
		return err.code;
	}
	role = roles[crew_kind(&w->release->settings, m->slot)];
	log_identity(role, (int)m->slot);
	log_set_level((enum log_level)w->release->settings.log_level);
	sig_install_crash_printer(role, (int)m->slot);
	o->slot = m->slot;
	o->generation = m->generation;
	o->reactors = (unsigned)m->value;
	o->n_listeners = (unsigned)m->extra;
	o->chan = (struct chan_fds){ ctl_take_fd(m, 2), ctl_take_fd(m, 3), ctl_take_fd(m, 4) };
	o->shared_fd = m->value ? ctl_take_fd(m, 5) : -1;
	return 0;
}

static int load(struct worker_role *w, struct ctl_msg *m)
{
	struct engine_opts *o = &w->setup;
	struct err err = { 0 };

	if (!w->release || w->engine || w->n_bells != o->reactors || w->n_listeners != o->n_listeners ||
	    w->shared.n != w->release->settings.shared.n)
		return -EPROTO;
	o->loop = &w->loop;
	o->release = w->release;
	o->selftest = m->value == 1;
	o->master_pid = (pid_t)(m->extra >> 32);
	o->manager_pid = (pid_t)(m->extra & 0xffffffff);
	o->bells = w->bells;
	o->listeners = w->listeners;
	o->shared = w->shared.fds;
	o->access_log = m->n_fds ? ctl_take_fd(m, 0) : -1;
	o->on_loaded = on_loaded;
	o->on_retire = on_retire;
	o->on_finished = on_finished;
	o->on_stopped = on_stopped;
	o->ctx = w;
	w->engine = engine_new(o, &err);
	if (!w->engine) {
		fail(w, err.text);
		return 0;
	}
	if (w->mesh)
		mesh_tell_lanes(w->mesh);
	engine_load(w->engine);
	return 0;
}

/* ---- what it is told ------------------------------------------------------------------------- */

static void start(struct worker_role *w)
{
	struct err err = { 0 };

	if (w->loaded && engine_start(w->engine, &err) < 0)
		fail(w, err.text);
}

static void stop(struct worker_role *w, uint64_t wait_ms, bool now)
{
	if (w->loaded)
		engine_stop(w->engine, wait_ms, now);
	else
		leave(w, 0);
}

static void reopen(struct worker_role *w, struct ctl_msg *m)
{
	/* Lines, prints and the crash printer all go to 1 and 2. */
	if (dup2(m->fds[0], STDOUT_FILENO) < 0 || dup2(m->fds[0], STDERR_FILENO) < 0)
		log_error("the log cannot be reopened: %s", strerror(errno));
	if (m->n_fds == 2 && w->engine)
		engine_access_log(w->engine, ctl_take_fd(m, 1));
}

static void on_msg(struct control *c, struct ctl_msg *m)
{
	struct worker_role *w = LS_CONTAINER_OF(c, struct worker_role, control);
	int r = 0;

	switch (m->type) {
	case CTL_SETUP:
		r = take_setup(w, m);
		break;
	case CTL_BELLS:
		r = ctl_take_fds(m, w->bells, &w->n_bells, w->setup.reactors);
		break;
	case CTL_LISTENERS:
		r = ctl_take_fds(m, w->listeners, &w->n_listeners, w->setup.n_listeners);
		break;
	case CTL_SHARED:
		r = vault_share_take(&w->shared, m);
		break;
	case CTL_QUEUE:
		r = take_queue(w, m);
		break;
	case CTL_INBOX:
		r = take_inbox(w, m);
		break;
	case CTL_PEERS:
		r = take_peers(w, m);
		break;
	case CTL_PEER_GONE:
		if (w->mesh)
			mesh_remove(w->mesh, m->slot, m->generation, (pid_t)m->value, (int)m->extra);
		break;
	case CTL_CREW_STATE:
		if (w->engine)
			engine_slot_failed(w->engine, m->slot, m->value == 1);
		break;
	case CTL_LOAD:
		r = load(w, m);
		break;
	case CTL_START:
		start(w);
		break;
	case CTL_STOP:
		stop(w, m->value, m->extra == 1);
		break;
	case CTL_REOPEN:
		reopen(w, m);
		break;
	default:
		r = -EPROTO;
		break;
	}
	if (r == -EPROTO)
		fail(w, "the control message does not fit here");
}

/* Everybody above has gone: finish at once. */
static void on_end(struct control *c, int why LS_UNUSED)
{
	stop(LS_CONTAINER_OF(c, struct worker_role, control), 0, true);
}

static void on_signal(struct watch *watch, int events LS_UNUSED)
{
	struct worker_role *w = LS_CONTAINER_OF(watch, struct worker_role, signals);

	/* A terminal's Ctrl-C reaches us too, and is the master's business; an operator's SIGTERM replaces this process. */
	for (int sig, sender; (sig = sig_next(watch->fd, &sender)) != 0;)
		if (sig != SIGTERM)
			api_signal_deliver(sig, sender);
		else if (w->loaded)
			on_retire(w);
}

static int open_all(struct worker_role *w, int control)
{
	int signals[NSIG] = { SIGTERM, SIGINT, SIGQUIT };
	int r = lifeline_start(control), fd;

	for (size_t i = 0; api_signal_allowed[i]; i++)
		signals[3 + i] = api_signal_allowed[i];
	fd = r < 0 ? r : sig_open(signals);

	if (fd < 0)
		return fd;
	r = loop_init(&w->loop);
	if (r == 0)
		r = watch_open(&w->signals, &w->loop, fd, on_signal);
	if (r < 0)
		return r;
	watch_set(&w->signals, WATCH_READ);
	w->control.peer = CTL_ROLE_SUPER;
	w->control.on_msg = on_msg;
	w->control.on_end = on_end;
	return control_open(&w->control, &w->loop, control);
}

/* Its end turns the loop, and then something may still come from other processes. */
static void free_engine(struct worker_role *w)
{
	struct engine *e = w->engine;

	w->loaded = false;
	w->engine = NULL;
	engine_free(e);
}

int run_worker(int control)
{
	struct worker_role *w = xzalloc(sizeof *w);
	int r, code;

	log_identity("worker", -1);
	w->setup.queue = -1;
	fd_raise_limit();
	r = open_all(w, control);
	if (r < 0) {
		log_error("a worker cannot start: %s", strerror(-r));
		return 1;
	}
	control_say_text(&w->control, CTL_HELLO, ctl_build_id());
	loop_run(&w->loop);

	code = w->code;
	/* The control socket stays open until the very end: its end of file means that this process is gone. */
	watch_close(&w->signals, NULL);
	watch_release(&w->control.watch, NULL);
	free_engine(w);
	mesh_free(w->mesh);
	vault_share_close(&w->shared);
	release_unref(w->release);
	taskbox_end_guard();
	loop_fini(&w->loop);
	free(w);
	return code;
}
