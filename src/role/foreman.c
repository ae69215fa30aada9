#include "role/foreman.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sys/fd.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static void release_handle(struct foreman *f)
{
	if (--f->handles == 0)
		free(f);
}

static void on_control_closed(struct watch *w)
{
	release_handle(LS_CONTAINER_OF(w, struct foreman, control.watch));
}

static void on_pidfd_closed(struct watch *w)
{
	release_handle(LS_CONTAINER_OF(w, struct foreman, pid_watch));
}

void foreman_close(struct foreman *f)
{
	f->ended = true;
	control_close(&f->control, on_control_closed);
	watch_close(&f->pid_watch, on_pidfd_closed);
}

void foreman_ended(struct foreman *f, int status)
{
	if (f->ended)
		return;
	/* What it still said counts. */
	if (f->control.open)
		f->control.watch.on_event(&f->control.watch, WATCH_READ);
	foreman_close(f);
	f->on_ended(f, status);
}

void foreman_kill(struct foreman *f)
{
	spawn_signal(&f->child, SIGKILL);
}

static void on_msg(struct control *c, struct ctl_msg *m)
{
	struct foreman *f = LS_CONTAINER_OF(c, struct foreman, control);

	if (m->type != CTL_HELLO)
		f->on_msg(f, m);
	else if (!str_eq(m->text, str_from(ctl_build_id())))
		foreman_kill(f);
}

static void on_end(struct control *c, int why)
{
	struct foreman *f = LS_CONTAINER_OF(c, struct foreman, control);

	if (why == -EPROTO)
		log_error("the manager broke the rules of the control socket; it is killed");
	/* Its end comes by its pidfd; without a control socket it is of no use. */
	foreman_kill(f);
}

static void on_pidfd(struct watch *w, int events LS_UNUSED)
{
	struct foreman *f = LS_CONTAINER_OF(w, struct foreman, pid_watch);
	int status = 0;

	if (spawn_reap(&f->child, &status) != 0)
		foreman_ended(f, status);
}

static int spawn(struct foreman *f, struct loop *loop, struct err *err)
{
	struct spawn_opts opts = { .role = "manager", .title = "luaserv: manager", .out = log_fd() };
	int pair[2];
	int r = unixmsg_pair(pair);

	if (r < 0)
		return err_set(err, r, "the manager's control socket cannot be made: %s", strerror(-r));
	opts.control = pair[1];
	r = spawn_role(&opts, &f->child, err);
	fd_close(&pair[1]);
	if (r < 0) {
		fd_close(&pair[0]);
		return r;
	}
	r = control_open(&f->control, loop, pair[0]);
	if (r < 0) {
		fd_close(&pair[0]);
		return err_set(err, r, "the manager cannot be talked to: %s", strerror(-r));
	}
	f->handles++;
	r = watch_open(&f->pid_watch, loop, f->child.pidfd, on_pidfd);
	if (r < 0)
		return err_set(err, r, "the manager cannot be watched: %s", strerror(-r));
	f->handles++;
	watch_set(&f->pid_watch, WATCH_READ);
	return 0;
}

struct foreman *foreman_start(const struct foreman_opts *o, struct err *err)
{
	struct foreman *f = xzalloc(sizeof *f);

	f->child.pidfd = -1;
	f->pid_watch.fd = -1;
	f->control.peer = CTL_ROLE_MANAGER;
	f->control.on_msg = on_msg;
	f->control.on_end = on_end;
	f->on_msg = o->on_msg;
	f->on_ended = o->on_ended;
	f->ctx = o->ctx;
	f->started_ms = clock_ms();
	if (spawn(f, o->loop, err) == 0)
		return f;
	/* Without its socket a process that was started after all ends by itself. */
	if (f->pid_watch.fd < 0)
		fd_close(&f->child.pidfd);
	if (f->handles)
		foreman_close(f);
	else
		free(f);
	return NULL;
}
