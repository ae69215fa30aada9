#include "api/api_program.h"

#include "api/api_client.h"
#include "api/api_sync.h"
#include "api/program_args.h"
#include "base/mem.h"
#include "loop/watch.h"
#include "lua/bind.h"
#include "lua/sched.h"
#include "sys/fd.h"
#include "sys/sig.h"
#include "sys/spawn.h"
#include "sys/unixmsg.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDED_MAX = 1024 };

/* Those of one state; its userdata. */
struct program_set {
	struct list live;    /* struct program */
	struct list ended;   /* that nobody has asked about yet, the oldest first */
	struct list waiting; /* tasks in luaserv.wait() */
	unsigned n_live;
	unsigned n_ended;
};

/* Its memory goes when it has ended, Lua has forgotten it and nothing of it is watched. */
struct program {
	struct program_set *set; /* NULL: the state has ended */
	struct list link;        /* set.live, then set.ended */
	struct child child;
	struct watch control;
	struct watch end;
	struct list waiting;  /* tasks in program:wait() */
	struct task *starter; /* waits until it is known whether it could be started */
	int in_out;           /* our end until Lua has it; -1 */
	int status;
	unsigned watches;
	bool has_ended;
	bool collected;
	bool unwanted; /* it could not be started, or who started it waits no more: nobody hears of its end */
};

static const struct bind_kind program_kind;

static struct program_set *set_of(lua_State *L)
{
	return state_of(L)->slots[STATE_PROGRAMS];
}

static void free_if_over(struct program *p)
{
	bool abandoned = p->has_ended || !p->set;

	if (!p->collected || !abandoned || p->watches || p->starter || !list_empty(&p->waiting) ||
	    list_linked(&p->link))
		return;
	fd_close(&p->in_out);
	free(p);
}

/* ---- its end ------------------------------------------------------------------------------------------------------------------------- */

static int push_end(lua_State *L, const struct program *p)
{
	lua_createtable(L, 0, 3);
	lua_pushinteger(L, p->child.pid);
	lua_setfield(L, -2, "pid");
	if (WIFEXITED(p->status)) {
		lua_pushinteger(L, WEXITSTATUS(p->status));
		lua_setfield(L, -2, "code");
	} else {
		lua_pushstring(L, sig_name(WTERMSIG(p->status)));
		lua_setfield(L, -2, "signal");
	}
	return 1;
}

/* Somebody was told of its end. */
static void claim(struct program *p)
{
	if (p->set && p->has_ended && list_linked(&p->link)) {
		list_del(&p->link);
		p->set->n_ended--;
	}
}

static struct task *next_waiting(struct list *waiting)
{
	struct list *it = list_shift(waiting);

	return it ? LS_CONTAINER_OF(it, struct task, link) : NULL;
}

/* Whoever waits for just this one hears of it, else one who waits for any, else it is kept for who asks later. */
static void tell_end(struct program *p)
{
	struct program_set *set = p->set;
	bool told = false;

	for (struct task *t; (t = next_waiting(&p->waiting)); told = true)
		sched_wake(t, push_end(t->L, p));
	if (told)
		return;

	struct task *any = next_waiting(&set->waiting);

	if (any) {
		sched_wake(any, push_end(any->L, p));
		return;
	}
	list_append(&set->ended, &p->link);
	if (++set->n_ended > ENDED_MAX) {
		struct program *oldest = LS_CONTAINER_OF(list_first(&set->ended), struct program, link);

		claim(oldest);
		free_if_over(oldest);
	}
}

static void on_end_closed(struct watch *watch)
{
	struct program *p = LS_CONTAINER_OF(watch, struct program, end);

	p->watches--;
	free_if_over(p);
}

static void on_end(struct watch *watch, int events LS_UNUSED)
{
	struct program *p = LS_CONTAINER_OF(watch, struct program, end);
	int r = spawn_reap(&p->child, &p->status);

	if (r == 0)
		return;
	if (r < 0)
		p->status = 0; /* somebody else has reaped it */
	p->has_ended = true;
	p->child.pidfd = -1;
	list_del(&p->link);
	p->set->n_live--;
	watch_close(watch, on_end_closed);
	if (!p->starter && !p->unwanted)
		tell_end(p); /* else who starts it is told first */
}

/* ---- its start ----------------------------------------------------------------------------------------------------------------------- */

static void on_control_closed(struct watch *watch)
{
	struct program *p = LS_CONTAINER_OF(watch, struct program, control);

	p->watches--;
	free_if_over(p);
}

/* Handle and client, or nil, message, code. */
static int push_started(lua_State *L, struct program *p, const struct spawn_failure *why)
{
	int fd = p->in_out;
	int r;

	if (why->error)
		return bind_fail(L, why->error, "%s%s", why->directory ? "its directory cannot be entered: " : "",
		                 strerror(why->error));
	p->in_out = -1;
	bind_push(L, &program_kind, p);
	p->collected = false;
	r = api_client_push_connected(L, fd);
	if (r < 0)
		return bind_fail(L, -r, "its standard streams cannot be watched: %s", strerror(-r));
	return 2;
}

/* A reason why it could not be started, or the end: it was. */
static void on_control(struct watch *watch, int events LS_UNUSED)
{
	struct program *p = LS_CONTAINER_OF(watch, struct program, control);
	struct task *t = p->starter;
	struct spawn_failure why;
	ssize_t n = recv(watch->fd, &why, sizeof why, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	watch_close(watch, on_control_closed);
	p->starter = NULL;
	if (n != (ssize_t)sizeof why)
		why.error = 0;
	p->unwanted |= why.error != 0;
	if (t)
		sched_wake(t, push_started(t->L, p, &why));
	if (p->has_ended && !p->unwanted)
		tell_end(p);
}

/* Who starts it does not wait any more: nobody will have it. */
static void leave_starting(struct task *t)
{
	struct program *p = t->wait;

	p->starter = NULL;
	p->unwanted = true;
	(void)spawn_signal(&p->child, SIGKILL);
}

/* 0 or negative errno; the descriptors are closed if it fails. */
static int watch_it(struct program *p, struct loop *loop, int control)
{
	int r = watch_open(&p->control, loop, control, on_control);

	if (r < 0)
		return r;
	p->watches++;
	watch_set(&p->control, WATCH_READ);
	r = watch_open(&p->end, loop, p->child.pidfd, on_end);
	if (r < 0)
		return r;
	p->watches++;
	watch_set(&p->end, WATCH_READ);
	return 0;
}

static int open_pairs(int in_out[2], int control[2])
{
	int r = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in_out) < 0 ? -errno : 0;

	if (r == 0)
		r = fd_set_nonblock(in_out[0], true);
	if (r == 0)
		r = unixmsg_pair(control);
	if (r == 0)
		r = fd_set_nonblock(control[1], false);
	return r;
}

/* It runs and cannot be watched, or was never started. */
static void give_up(struct program *p)
{
	if (p->child.pidfd >= 0)
		(void)spawn_signal(&p->child, SIGKILL);
	if (p->set)
		p->set->n_live--;
	list_del(&p->link);
	fd_close(&p->child.pidfd);
	p->has_ended = true;
	p->unwanted = true;
	free_if_over(p);
}

/* NULL: *error. */
static struct program *start(struct program_set *set, struct loop *loop, struct spawn_program_opts *o, bool err_too,
                             int *error)
{
	struct program *p = xzalloc(sizeof *p);
	int in_out[2] = { -1, -1 }, control[2] = { -1, -1 };
	int r = open_pairs(in_out, control);

	p->collected = true; /* until Lua has it */
	p->in_out = in_out[0];
	p->child.pidfd = -1;
	list_init(&p->link);
	list_init(&p->waiting);
	if (r == 0) {
		o->in_out = in_out[1];
		o->err = err_too ? in_out[1] : STDERR_FILENO;
		o->control = control[1];
		r = spawn_program(o, &p->child);
	}
	fd_close(&in_out[1]);
	fd_close(&control[1]);
	if (r == 0) {
		p->set = set;
		list_append(&set->live, &p->link);
		set->n_live++;
		r = watch_it(p, loop, control[0]);
	}
	if (r == 0)
		return p;
	*error = r;
	if (!p->watches)
		fd_close(&control[0]);
	give_up(p);
	return NULL;
}

/* ---- what Lua says --------------------------------------------------------------------------------------------------------------------- */

/* start(args, cwd, env, stderr_too, survives) -> handle, client | nil, message, code */
static int program_start(lua_State *L)
{
	struct program_set *set = set_of(L);
	struct sched *s = sched_of(L);
	const struct settings *settings = worker_current()->o.settings;
	struct spawn_program_opts o = { .directory = luaL_optstring(L, 2, ""), .survives = lua_toboolean(L, 5) };
	struct program *p;
	int error = 0;

	lua_settop(L, 5);
	o.args = program_args(L, 1, &o.n_args);
	if (!lua_isnil(L, 3))
		o.env = program_environment(L, 3);
	if (!sched_may_park(L))
		return sched_park(L, "process:start", NULL, NULL, 0); /* which says why */
	if (set->n_live >= settings->max_programs)
		return bind_fail(L, EAGAIN, "this process runs %u programs (max_programs)", set->n_live);
	p = start(set, sched_loop(s), &o, lua_toboolean(L, 4), &error);
	if (!p)
		return bind_fail(L, -error, "%s", strerror(-error));
	p->starter = sched_current(s);
	return sched_park(L, "process:start", leave_starting, p, 0);
}

static void leave_waiting(struct task *t)
{
	list_del(&t->link);
	if (t->wait)
		free_if_over(t->wait);
}

static int wait_on(lua_State *L, struct list *waiting, struct program *p, const char *what, int timeout_idx)
{
	struct sched *s = sched_of(L);
	uint64_t ms;

	if (!api_sync_timeout(L, timeout_idx, what, 0, &ms))
		return bind_fail(L, ETIMEDOUT, "timeout");
	if (sched_may_park(L))
		list_append(waiting, &sched_current(s)->link);
	return sched_park(L, what, leave_waiting, p, ms);
}

/* wait(timeout) of a handle. */
static int program_wait(lua_State *L)
{
	struct program *p = bind_self(L);

	if (!p->has_ended)
		return wait_on(L, &p->waiting, p, "process:wait", 2);
	claim(p);
	return push_end(L, p);
}

/* wait_any(timeout): of all programs. */
static int program_wait_any(lua_State *L)
{
	struct program_set *set = set_of(L);
	struct list *it = list_first(&set->ended);
	struct program *p = it ? LS_CONTAINER_OF(it, struct program, link) : NULL;

	if (p) {
		claim(p);
		push_end(L, p);
		free_if_over(p);
		return 1;
	}
	if (set->n_live == 0)
		return bind_fail(L, ECHILD, "this process runs no program");
	return wait_on(L, &set->waiting, NULL, "luaserv.wait", 1);
}

static int program_kill(lua_State *L)
{
	struct program *p = bind_self(L);
	bool by_number = lua_type(L, 2) == LUA_TNUMBER;
	int sig = by_number ? (int)lua_tointeger(L, 2) : sig_find(luaL_optstring(L, 2, "TERM"));
	int r;

	if (sig < 1 || sig > SIGRTMAX)
		return state_error(L, "process:kill: there is no signal \"%s\"", lua_tostring(L, 2));
	r = p->has_ended ? -ESRCH : spawn_signal(&p->child, sig);
	if (r < 0)
		return bind_fail(L, -r, "%s", r == -ESRCH ? "it has ended" : strerror(-r));
	lua_pushboolean(L, 1);
	return 1;
}

static int program_pid(lua_State *L)
{
	lua_pushinteger(L, ((const struct program *)bind_self(L))->child.pid);
	return 1;
}

/* ---- life ----------------------------------------------------------------------------------------------------------------------------- */

static void collect_program(void *object)
{
	struct program *p = object;

	p->collected = true;
	free_if_over(p);
}

/* The state ends, and with it this process, which its programs do not survive unless they were told to. */
static void abandon(struct program *p)
{
	list_del(&p->link);
	p->set = NULL;
	p->collected = true;
	if (!p->has_ended && p->watches)
		watch_close(&p->end, on_end_closed);
	if (p->control.fd >= 0 && p->watches > 1)
		watch_close(&p->control, on_control_closed);
	free_if_over(p);
}

static int collect_set(lua_State *L)
{
	struct program_set *set = lua_touserdata(L, 1);

	for (struct list *it; (it = list_first(&set->live));)
		abandon(LS_CONTAINER_OF(it, struct program, link));
	for (struct list *it; (it = list_first(&set->ended));)
		abandon(LS_CONTAINER_OF(it, struct program, link));
	return 0;
}

enum { ROLES = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS };

static const struct bind_row methods[] = {
	{ "wait", program_wait, "n?", ROLES | BIND_WAITS,
	  "wait(timeout) -> { pid, code | signal } | nil, message, code." },
	{ "kill", program_kill, "S?", ROLES, "kill(signal = \"TERM\") -> true | nil, message, code." },
	{ "pid", program_pid, "", ROLES, "pid() -> number." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind program_kind = { .name = "process", .methods = methods, .collect = collect_program };

static const struct bind_row functions[] = {
	{ "start", program_start, "ts?t?b?b?", ROLES | BIND_WAITS,
	  "start(args, directory, environment, stderr_too, survives) -> handle, client | nil, message, code." },
	{ "wait", program_wait_any, "n?", ROLES | BIND_WAITS,
	  "wait(timeout) -> { pid, code | signal } | nil, message, code: the next program to end, if nobody waits for just that one." },
	{ NULL, NULL, NULL, 0, NULL },
};

int api_program_open(lua_State *L)
{
	struct program_set *set = state_keep(L, STATE_PROGRAMS, sizeof *set, collect_set);

	list_init(&set->live);
	list_init(&set->ended);
	list_init(&set->waiting);
	bind_register(L, &program_kind);
	bind_functions(L, "luaserv.program", functions);
	return 1;
}
