#include "super/evaluate.h"

#include "base/list.h"
#include "base/mem.h"
#include "super/control.h"
#include "sys/fd.h"
#include "sys/spawn.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* Lives until its process has ended and both handles are closed; the answer is given as soon as it is
 * known. */
struct evaluate {
	struct list link; /* in `alive` */
	struct evaluate_opts opts;
	struct control control;
	struct watch ended; /* pidfd */
	struct timer deadline;
	struct child child;
	bool answered;
	bool reaped;
	unsigned handles; /* of the loop: not yet closed */
};

/* Those of this process, for the one place that reaps. */
static struct list alive = { &alive, &alive };

static void answer(struct evaluate *e, struct release *release, const struct err *err)
{
	if (e->answered) {
		release_unref(release);
		return;
	}
	e->answered = true;
	timer_del(e->opts.loop, &e->deadline);
	e->opts.done(e->opts.ctx, release, err);
}

static void answer_text(struct evaluate *e, int code, const char *text)
{
	struct err err;

	err_set(&err, code, "%s", text);
	answer(e, NULL, &err);
}

static void on_closed(struct evaluate *e)
{
	if (--e->handles == 0)
		free(e);
}

static void on_control_closed(struct watch *w)
{
	on_closed(LS_CONTAINER_OF(w, struct evaluate, control.watch));
}

static void on_pidfd_closed(struct watch *w)
{
	on_closed(LS_CONTAINER_OF(w, struct evaluate, ended));
}

static void finish(struct evaluate *e, bool known, int status)
{
	char how[64];
	char text[128];

	if (e->reaped)
		return;
	e->reaped = true;
	list_del(&e->link);
	timer_del(e->opts.loop, &e->deadline);
	spawn_status_text(status, how, sizeof how);
	snprintf(text, sizeof text, "the process that evaluates the app %s", known ? how : "died");
	control_close(&e->control, on_control_closed);
	watch_close(&e->ended, on_pidfd_closed);
	answer_text(e, -ECHILD, text);
	if (e->handles == 0)
		free(e);
}

static void on_pidfd(struct watch *w, int events LS_UNUSED)
{
	struct evaluate *e = LS_CONTAINER_OF(w, struct evaluate, ended);
	int status = 0;

	/* What it still said stands in the socket and counts. */
	if (e->control.open)
		e->control.watch.on_event(&e->control.watch, WATCH_READ);
	if (e->reaped)
		return;

	bool known = spawn_reap(&e->child, &status) == 1;

	finish(e, known, status);
}

static void on_msg(struct control *c, struct ctl_msg *m)
{
	struct evaluate *e = LS_CONTAINER_OF(c, struct evaluate, control);
	struct err err = { 0 };

	switch (m->type) {
	case CTL_HELLO:
		if (!str_eq(m->text, str_from(ctl_build_id())))
			answer_text(e, -EPROTO, "the evaluator is of another build of luaserv");
		break;
	case CTL_EVALUATED:
		answer(e, release_new(ctl_take_fd(m, 0), ctl_take_fd(m, 1), &err), &err);
		break;
	case CTL_HOOKED:
		answer(e, NULL, &err);
		break;
	case CTL_FAILED:
		err_set(&err, -EINVAL, "%.*s", LS_STR_ARG(m->text));
		answer(e, NULL, &err);
		break;
	default:
		answer_text(e, -EPROTO, "the evaluator said something unexpected");
		break;
	}
}

static void on_end(struct control *c, int why)
{
	struct evaluate *e = LS_CONTAINER_OF(c, struct evaluate, control);

	/* The pidfd tells how it ended. */
	if (why == -EPROTO)
		spawn_signal(&e->child, SIGKILL);
}

static void on_deadline(struct timer *t)
{
	struct evaluate *e = LS_CONTAINER_OF(t, struct evaluate, deadline);
	struct err err;

	spawn_signal(&e->child, SIGKILL);
	err_set(&err, -ETIMEDOUT, "the app took longer than %g s (eval_timeout)", (double)e->opts.timeout_ms / 1000);
	answer(e, NULL, &err);
}

static int open_handles(struct evaluate *e, int ours)
{
	int r = control_open(&e->control, e->opts.loop, ours);

	if (r < 0)
		return r;
	e->handles++;
	r = watch_open(&e->ended, e->opts.loop, e->child.pidfd, on_pidfd);
	if (r < 0)
		return r;
	e->handles++;
	watch_set(&e->ended, WATCH_READ);
	return 0;
}

static struct evaluate *start(const struct evaluate_opts *o, const struct ctl_msg *request, struct err *err)
{
	struct evaluate *e = xzalloc(sizeof *e);
	int pair[2];
	int r = unixmsg_pair(pair);

	if (r < 0) {
		err_set(err, r, "the evaluator's socket cannot be made: %s", strerror(-r));
		free(e);
		return NULL;
	}
	e->opts = *o;
	e->control.peer = CTL_ROLE_EVAL;
	e->control.on_msg = on_msg;
	e->control.on_end = on_end;
	e->ended.fd = -1;
	timer_init(&e->deadline, on_deadline);
	list_init(&e->link);

	struct spawn_opts spawn = { .role = "eval", .title = "luaserv: eval", .control = pair[1], .out = o->out };

	r = spawn_role(&spawn, &e->child, err);
	fd_close(&pair[1]);
	if (r < 0) {
		fd_close(&pair[0]);
		free(e);
		return NULL;
	}
	list_append(&alive, &e->link);
	r = open_handles(e, pair[0]);
	if (r == 0)
		r = ctl_send_fds(pair[0], CTL_SHARED, o->shared, o->n_shared);
	if (r == 0)
		r = control_send(&e->control, request);
	if (r < 0) {
		err_set(err, r, "the evaluator cannot be talked to: %s", strerror(-r));
		evaluate_cancel(e);
		return NULL;
	}
	timer_set(o->loop, &e->deadline, o->timeout_ms);
	return e;
}

uint64_t evaluate_timeout(const struct launch *launch)
{
	struct settings s;
	uint64_t ms;

	settings_init(&s);
	/* What is wrong there is told by the evaluation itself. */
	(void)settings_read_environment(&s, NULL);
	for (unsigned i = 0; i < launch->n_options; i++) {
		struct str value = str_from(launch->options[i]);

		if (str_eq(str_split(&value, '='), LS_STR("eval_timeout")))
			(void)settings_set(&s, NULL, "eval_timeout", value, LAYER_OPTION, NULL);
	}
	ms = s.eval_timeout;
	settings_fini(&s);
	return ms;
}

struct evaluate *evaluate_script(const struct evaluate_opts *o, const struct launch *launch, struct err *err)
{
	char *text = xalloc(LAUNCH_BYTES_MAX);
	ssize_t len = launch_pack(launch, text, LAUNCH_BYTES_MAX);
	struct evaluate *e = NULL;

	if (len < 0) {
		err_set(err, (int)len, "the options are longer than %d bytes", LAUNCH_BYTES_MAX);
	} else {
		struct ctl_msg m = { .type = CTL_EVAL, .text = str_make(text, (size_t)len) };

		e = start(o, &m, err);
	}
	free(text);
	return e;
}

struct evaluate *evaluate_hook(const struct evaluate_opts *o, struct release *r, const struct evaluate_hook *hook,
                               struct err *err)
{
	struct ctl_msg m = {
		.type = CTL_HOOK,
		.value = hook->event,
		.slot = hook->worker_id,
		.generation = (uint64_t)hook->pid,
		.extra = (uint64_t)(unsigned)hook->status,
		.n_fds = 2,
		.fds = { r->settings_fd, r->image_fd },
	};

	return start(o, &m, err);
}

void evaluate_cancel(struct evaluate *e)
{
	e->answered = true;
	timer_del(e->opts.loop, &e->deadline);
	spawn_signal(&e->child, SIGKILL);
}

bool evaluate_exited(int pid, int status)
{
	LS_LIST_EACH (it, &alive) {
		struct evaluate *e = LS_CONTAINER_OF(it, struct evaluate, link);

		if (e->child.pid != pid)
			continue;
		if (e->control.open)
			e->control.watch.on_event(&e->control.watch, WATCH_READ);
		finish(e, true, status);
		return true;
	}
	return false;
}
