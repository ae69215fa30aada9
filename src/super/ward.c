#include "super/ward.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "super/slot.h"
#include "super/super.h"
#include "sys/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	KILL_AFTER_MS = 1000, /* from the end of a grace period, or from SIGABRT, to SIGKILL */
	ORPHAN_WAIT_MS = 500, /* for the status of a process that somebody else reaps */
};

static struct loop *loop_of(const struct ward *w)
{
	return w->slot->super->loop;
}

/* ---- end ------------------------------------------------------------------------------------- */

static void free_when_closed(struct ward *w)
{
	if (w->handles)
		return;
	if (w->has_board)
		chan_close(&w->board);
	free(w);
}

static void on_control_closed(struct watch *watch)
{
	struct ward *w = LS_CONTAINER_OF(watch, struct ward, control.watch);

	w->handles--;
	free_when_closed(w);
}

static void on_pidfd_closed(struct watch *watch)
{
	struct ward *w = LS_CONTAINER_OF(watch, struct ward, pid_watch);

	w->handles--;
	free_when_closed(w);
}

static void give_permit_back(struct ward *w)
{
	if (!w->starting)
		return;
	w->starting = false;
	w->slot->super->starting--;
	super_start_waiting(w->slot->super);
}

void ward_exited(struct ward *w, int status)
{
	struct super *super = w->slot->super;

	if (w->ended)
		return;
	w->ended = true;
	/* It may have said why before it left. */
	if (w->control.open)
		w->control.watch.on_event(&w->control.watch, WATCH_READ);
	timer_del(loop_of(w), &w->deadline);
	timer_del(loop_of(w), &w->abort);
	timer_del(loop_of(w), &w->orphan);
	super->ops->gone(super->ctx, w->slot->id, w->generation, status, slot_mourns(w->slot, w));
	slot_on_exit(w->slot, w, status);
	give_permit_back(w);
	control_close(&w->control, on_control_closed);
	watch_close(&w->pid_watch, on_pidfd_closed);
	if (w->child.pidfd < 0)
		free_when_closed(w);
}

static void on_orphan(struct timer *t)
{
	struct ward *w = LS_CONTAINER_OF(t, struct ward, orphan);

	log_warn("how %s %u (pid %d) ended could not be learnt", w->slot->title, w->slot->id, w->child.pid);
	ward_exited(w, 0);
}

static void on_pidfd(struct watch *watch, int events LS_UNUSED)
{
	struct ward *w = LS_CONTAINER_OF(watch, struct ward, pid_watch);
	int status = 0;

	if (spawn_reap(&w->child, &status) == 1) {
		ward_exited(w, status);
		return;
	}
	/* Not our child: the master reaps it and tells us. */
	watch_set(watch, 0);
	timer_set(loop_of(w), &w->orphan, ORPHAN_WAIT_MS);
}

void ward_kill(struct ward *w)
{
	w->unwanted = true;
	if (w->state == WARD_OPENING) {
		if (!w->ended)
			ward_exited(w, 0);
		return;
	}
	spawn_signal(&w->child, SIGKILL);
}

static void on_abort(struct timer *t)
{
	struct ward *w = LS_CONTAINER_OF(t, struct ward, abort);

	spawn_signal(&w->child, SIGKILL);
}

static void on_deadline(struct timer *t)
{
	struct ward *w = LS_CONTAINER_OF(t, struct ward, deadline);

	if (w->state == WARD_DRAINING) {
		log_warn("%s %u (pid %d) had not finished in time and was killed (max_wait_time)", w->slot->title,
		         w->slot->id, w->child.pid);
	} else {
		/* Its end counts as a death, so that it is not tried for ever. */
		snprintf(w->failure, sizeof w->failure, "it was not ready in time (start_timeout)");
	}
	if (w->state == WARD_OPENING)
		ward_exited(w, 0);
	else
		spawn_signal(&w->child, SIGKILL);
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void on_ready(struct ward *w)
{
	if (w->state != WARD_LOADING)
		return;
	timer_del(loop_of(w), &w->deadline);
	w->state = WARD_READY;
	w->ready_ms = clock_ms();
	slot_on_ready(w->slot, w);
	give_permit_back(w);
}

static void on_msg(struct control *c, struct ctl_msg *m)
{
	struct ward *w = LS_CONTAINER_OF(c, struct ward, control);

	switch (m->type) {
	case CTL_HELLO:
		if (!str_eq(m->text, str_from(ctl_build_id()))) {
			snprintf(w->failure, sizeof w->failure, "it is of another build of luaserv");
			spawn_signal(&w->child, SIGKILL);
		}
		break;
	case CTL_READY:
		if (!w->unwanted && !w->ended)
			on_ready(w);
		break;
	case CTL_FAILED:
		str_copy(m->text, w->failure, sizeof w->failure);
		break;
	case CTL_RETIRE:
		if (!w->unwanted && !w->ended)
			slot_on_retire(w->slot, w);
		break;
	default:
		log_error("%s %u (pid %d) sent %s, which no worker sends; it was killed", w->slot->title, w->slot->id,
		          w->child.pid, ctl_name(m->type));
		spawn_signal(&w->child, SIGKILL);
		break;
	}
}

static void on_end(struct control *c, int why)
{
	struct ward *w = LS_CONTAINER_OF(c, struct ward, control);

	/* The pidfd tells how it ended; a process that lives on without its control socket is of no use. */
	if (why == -EPROTO)
		log_error("%s %u (pid %d) broke the rules of the control socket; it was killed", w->slot->title,
		          w->slot->id, w->child.pid);
	spawn_signal(&w->child, SIGKILL);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static struct ward *make(struct slot *slot, uint64_t generation, uint64_t epoch)
{
	struct ward *w = xzalloc(sizeof *w);

	list_init(&w->link);
	w->slot = slot;
	w->generation = generation;
	w->epoch = epoch;
	w->child = (struct child){ .pid = 0, .pidfd = -1 };
	w->pid_watch.fd = -1;
	w->control.peer = CTL_ROLE_WORKER;
	w->control.on_msg = on_msg;
	w->control.on_end = on_end;
	timer_init(&w->deadline, on_deadline);
	timer_init(&w->abort, on_abort);
	timer_init(&w->orphan, on_orphan);
	return w;
}

/* Takes both descriptors.  A process that cannot be watched is killed. */
static int watch_process(struct ward *w, int control)
{
	int r = control_open(&w->control, loop_of(w), control);

	if (r < 0) {
		fd_close(&control);
		spawn_signal(&w->child, SIGKILL);
		fd_close(&w->child.pidfd);
		return r;
	}
	w->handles++;
	r = watch_open(&w->pid_watch, loop_of(w), w->child.pidfd, on_pidfd);
	if (r < 0) {
		spawn_signal(&w->child, SIGKILL);
		fd_close(&w->child.pidfd);
		return r;
	}
	w->handles++;
	watch_set(&w->pid_watch, WATCH_READ);
	return 0;
}

struct ward *ward_new(struct slot *slot, uint64_t epoch, uint64_t start_ms)
{
	struct super *super = slot->super;
	struct ward *w = make(slot, super->next_generation++, epoch);

	w->starting = true;
	super->starting++;
	timer_set(super->loop, &w->deadline, start_ms);
	return w;
}

void ward_open(struct ward *w, bool canary)
{
	struct super *super = w->slot->super;

	super->ops->open(super->ctx, w->slot->id, w->generation, w->epoch, canary);
}

struct ward *ward_adopt(struct slot *slot, uint64_t generation, uint64_t epoch, const struct child *child, int control,
                        int up)
{
	struct ward *w = make(slot, generation, epoch);
	struct err err;

	w->child = *child;
	w->state = WARD_SERVING;
	w->started = true;
	w->ready_ms = clock_ms();
	w->has_board = chan_open_board(&w->board, up, &err) == 0;
	fd_close(&up);
	if (watch_process(w, control) < 0)
		log_error("%s %u (pid %d) cannot be watched", slot->title, slot->id, child->pid);
	return w;
}

static int spawn_process(struct ward *w, int child_end, struct err *err)
{
	struct super *super = w->slot->super;
	char title[96], name[80];
	struct spawn_opts spawn = { .role = "worker", .title = title, .control = child_end, .out = log_fd() };
	int r;

	snprintf(title, sizeof title, "luaserv: %-32s", slot_name(w->slot, name, sizeof name));
	r = spawn_role(&spawn, &w->child, err);
	if (r < 0)
		return r;
	w->state = WARD_LOADING;
	super->ops->spawned(super->ctx, w->slot->id, w->generation, &w->child);
	return 0;
}

void ward_opened(struct ward *w, int control, int child_end, int up)
{
	struct err err = { 0 };
	int r;

	w->has_board = chan_open_board(&w->board, up, &err) == 0;
	fd_close(&up);
	r = w->has_board ? spawn_process(w, child_end, &err) : err.code;
	fd_close(&child_end);
	if (r < 0) {
		fd_close(&control);
		ward_refused(w, err.text);
		return;
	}
	if (watch_process(w, control) < 0)
		ward_refused(w, "the new process cannot be watched");
}

void ward_refused(struct ward *w, const char *text)
{
	str_copy(str_from(text), w->failure, sizeof w->failure);
	ward_exited(w, 0);
}

/* ---- what it is told ------------------------------------------------------------------------- */

void ward_attach(struct ward *w)
{
	struct super *super = w->slot->super;

	w->state = WARD_ATTACHING;
	super->ops->attach(super->ctx, w->slot->id, w->generation);
}

void ward_attached(struct ward *w)
{
	if (w->state != WARD_ATTACHING)
		return;
	w->state = WARD_SERVING;
	slot_on_attached(w->slot, w);
}

void ward_send(struct ward *w, const struct ctl_msg *m)
{
	/* One that does not read for a second is stuck; its deadlines deal with it. */
	if (control_send(&w->control, m) == -EAGAIN)
		log_warn("%s %u (pid %d) does not read its control socket", w->slot->title, w->slot->id, w->child.pid);
}

void ward_start(struct ward *w)
{
	struct ctl_msg m = { .type = CTL_START };

	if (w->started)
		return;
	w->started = true;
	ward_send(w, &m);
}

void ward_stop(struct ward *w, uint64_t wait_ms, bool last)
{
	const struct userproc *user = crew_process(&w->slot->release->settings, w->slot->id);
	struct ctl_msg m = { .type = CTL_STOP, .value = wait_ms, .extra = last };

	w->unwanted = true;
	if (w->state < WARD_READY) {
		ward_kill(w);
		return;
	}
	w->state = WARD_DRAINING;
	ward_send(w, &m);
	/* One that runs plainly may not look at its control socket. */
	if (user && !user->coroutine)
		spawn_signal(&w->child, SIGTERM);
	timer_set(loop_of(w), &w->deadline, wait_ms + KILL_AFTER_MS);
}

/* ---- watchdog -------------------------------------------------------------------------------- */

/* Counted by our own looks, not by its clock: a machine that stood still, or a turn in which other handlers ran before this
 * one, makes nobody guilty. */
static bool runs_too_long(struct ward *w, uint64_t passed_ms, uint64_t limit_ms)
{
	uint64_t run = board_get(&chan_board(&w->board)->lua_run);

	w->busy_ms = run == w->lua_run && (run & 1) ? w->busy_ms + passed_ms : 0;
	w->lua_run = run;
	return w->busy_ms > limit_ms;
}

void ward_check(struct ward *w, uint64_t passed_ms, uint64_t limit_ms)
{
	if (!w->has_board || w->ended || w->state < WARD_READY || timer_is_set(&w->abort))
		return;
	if (!runs_too_long(w, passed_ms, limit_ms))
		return;

	const struct board_worker *b = chan_board(&w->board);

	log_error("%s %u (pid %d) has run for %" PRIu64 " ms without a break and did not heed max_execution_time: "
	          "requests=%" PRIu64 " in_flight=%" PRIu64 " coroutines=%" PRIu64 " lua_bytes=%" PRIu64
	          "; sending SIGABRT",
	          w->slot->title, w->slot->id, w->child.pid, w->busy_ms, board_get(&b->requests),
	          board_get(&b->in_flight), board_get(&b->coroutines), board_get(&b->lua_bytes));
	spawn_signal(&w->child, SIGABRT);
	timer_set(loop_of(w), &w->abort, KILL_AFTER_MS);
}
