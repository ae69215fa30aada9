/* Who waits on a client. */
#include "api/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "the receive handler of fd 12". */
static const char *starter(const struct task *t, char *out, size_t cap)
{
	if (strcmp(t->event, "go") == 0)
		snprintf(out, cap, "luaserv.go");
	else if (strcmp(t->event, "timer") == 0)
		snprintf(out, cap, "a timer");
	else if (t->fd)
		snprintf(out, cap, "the %s handler of fd %llu", t->event, (unsigned long long)t->fd);
	else
		snprintf(out, cap, "the %s handler", t->event);
	return out;
}

void client_side_check(lua_State *L, const struct client_side *side, const char *what)
{
	char who[100], where[LUA_IDSIZE + 16];

	if (!sched_may_park(L))
		sched_park(L, what, NULL, NULL, 0); /* raises */
	if (!side->task)
		return;
	state_where(side->task->waiting, where, sizeof where);
	state_error(L, "%s: another coroutine (started by %s%s%s) is already in %s", what,
	            starter(side->task, who, sizeof who), where[0] ? ", waiting at " : "", where, side->what);
}

int client_side_park(lua_State *L, struct client *c, struct client_side *side, const char *what,
                     void (*leave)(struct task *t), uint64_t timeout_ms)
{
	side->task = sched_current(sched_of(L));
	side->what = what;
	return sched_park(L, what, leave, c, timeout_ms);
}

struct task *client_side_leave(struct client_side *side)
{
	struct task *t = side->task;

	side->task = NULL;
	return t;
}

void client_let_go(struct client *c)
{
	if (!c->collected || c->connecting.task || c->reading.task || c->writing.task)
		return;
	dial_cancel(c->dial);
	wire_close(c->wire);
	client_opts_fini(&c->opts);
	free(c);
}
