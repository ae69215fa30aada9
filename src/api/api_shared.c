#include "api/api_shared.h"

#include "api/api_sync.h"
#include "base/mem.h"
#include "lua/app.h"
#include "lua/sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAUSE_FIRST_MS = 1, PAUSE_MAX_MS = 10 };

#define FOREVER_MS UINT64_C(1000000000000)

static const char handles_key[] = "luaserv.shared";

/* ---- finding the memory -------------------------------------------------------------------------------------------- */

static void refuse(lua_State *L, const struct api_shared *s, const char *why)
{
	state_error(L, "%s: %s", s->what, why);
}

static void declare(lua_State *L, struct app *app, const struct api_shared *s)
{
	struct err err;

	if (shared_declare(&app->settings.shared, s->name, s->shape, s->bytes, &err) < 0)
		refuse(L, s, err.text);
}

/* The descriptor of its memory.  What is not declared here was not at the start: memory comes with the process. */
static int look_up(lua_State *L, const struct app *app, const struct api_shared *s)
{
	const struct shared *found = shared_find(app->shared, s->name);

	if (!found)
		state_error(
			L,
			"%s: \"%s\" was not declared when the script was evaluated; declare it in the script itself, "
			"before server:start() and in every role",
			s->what, s->name);
	else if (strcmp(found->shape, s->shape) != 0 || found->bytes != s->bytes)
		state_error(L, "%s: \"%s\" is declared as %s, and here as %s", s->what, s->name, found->shape,
		            s->shape);
	return app->shared_fds[found - app->shared->items];
}

static bool push_known(lua_State *L, const char *name)
{
	lua_getfield(L, LUA_REGISTRYINDEX, handles_key);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

/* The handle first: then nothing is lost if there is no memory for it. */
static void *push_new(lua_State *L, const struct api_shared *s, const struct bind_kind *kind, size_t size, int fd)
{
	struct bind_handle *handle = bind_push(L, kind, NULL);
	struct segment *object;
	int r;

	lua_getfield(L, LUA_REGISTRYINDEX, handles_key);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, s->name);
	lua_pop(L, 1);
	object = xzalloc(size);
	r = fd < 0 ? segment_private(object, s->bytes) : segment_open(object, fd, s->bytes);
	if (r == 0) {
		handle->object = object;
		return object;
	}
	free(object);
	state_error(L, "%s: the memory of \"%s\", %s, cannot be mapped: %s", s->what, s->name, s->shape, strerror(-r));
	return NULL;
}

void *api_shared_push(lua_State *L, const struct api_shared *s, const struct bind_kind *kind, size_t size)
{
	struct app *app = app_of(L);
	int fd = -1;

	if (!app)
		refuse(L, s, "there is no app in this process");
	else if (!app->shared)
		declare(L, app, s);
	else
		fd = look_up(L, app, s);
	return push_known(L, s->name) ? NULL : push_new(L, s, kind, size, fd);
}

void api_shared_collect(void *object)
{
	segment_close(object);
	free(object);
}

/* ---- waiting ------------------------------------------------------------------------------------------------------- */

/* A coroutine that waits.  Other processes cannot wake it, so it tries again after pauses. */
struct waiter {
	struct api_shared_wait w;
	struct task *task;
	struct timer retry;
	uint64_t pause_ms;
};

static void end_wait(struct waiter *waiter)
{
	timer_del(sched_loop(waiter->task->sched), &waiter->retry);
	if (waiter->w.end)
		waiter->w.end(waiter->w.object, waiter->w.way);
	free(waiter);
}

static void on_cancel(struct task *t)
{
	end_wait(t->wait);
}

static void on_retry(struct timer *timer)
{
	struct waiter *waiter = LS_CONTAINER_OF(timer, struct waiter, retry);
	struct task *t = waiter->task;
	int n, r = waiter->w.try(waiter->w.object, waiter->w.way);

	if (r == -EAGAIN) {
		waiter->pause_ms = LS_MIN(waiter->pause_ms * 2, (uint64_t)PAUSE_MAX_MS);
		timer_set(sched_loop(t->sched), timer, waiter->pause_ms);
		return;
	}
	n = waiter->w.push(t->L, waiter->w.object, r);
	end_wait(waiter);
	sched_wake(t, n);
}

static int park(lua_State *L, const struct api_shared_wait *w, uint64_t timeout_ms)
{
	struct waiter *waiter;
	int r = w->begin ? w->begin(w->object, w->way) : 0;

	if (r < 0)
		return w->push(L, w->object, r);
	waiter = xzalloc(sizeof *waiter);
	*waiter = (struct waiter){ .w = *w, .task = sched_current(sched_of(L)), .pause_ms = PAUSE_FIRST_MS };
	timer_init(&waiter->retry, on_retry);
	timer_set(sched_loop(waiter->task->sched), &waiter->retry, PAUSE_FIRST_MS);
	return sched_park(L, w->what, on_cancel, waiter, timeout_ms);
}

int api_shared_wait(lua_State *L, const struct api_shared_wait *w, int timeout_idx)
{
	uint64_t ms = 0;
	bool waits = api_sync_timeout(L, timeout_idx, w->what, 0, &ms);
	int r = w->try(w->object, w->way);

	if (r != -EAGAIN)
		return w->push(L, w->object, r);
	if (!waits)
		return w->push(L, w->object, -ETIMEDOUT);
	if (sched_of(L) && sched_current(sched_of(L)) && sched_may_park(L))
		return park(L, w, ms);
	r = w->sleep(w->object, w->way, ms ? ms : FOREVER_MS);
	return w->push(L, w->object, r);
}

/* ---- the module ---------------------------------------------------------------------------------------------------- */

static const struct bind_row functions[] = {
	{ "atomic", api_atomic_new, "s", LUA_ROLE_ALL,
	  "atomic(name) -> a number that all processes count with. Declare it in the script, as all of these." },
	{ "lock", api_lock_new, "ss?i?", LUA_ROLE_ALL,
	  "lock(name, kind = \"mutex\", permits = 1) -> a lock between processes: \"mutex\", \"rwlock\", \"spin\" or \"sem\"." },
	{ "table", api_table_new, "snt", LUA_ROLE_ALL,
	  "table(name, rows, { column = \"int\" | \"float\" | \"string(n)\" }) -> rows with columns, found by key." },
	{ "dict", api_dict_new, "sS", LUA_ROLE_ALL,
	  "dict(name, bytes) -> any keys and values, that expire and give way: luaserv.dict(\"cache\", \"64m\")." },
	{ NULL, NULL, NULL, 0, NULL },
};

int api_shared_open(lua_State *L)
{
	lua_newtable(L);
	lua_setfield(L, LUA_REGISTRYINDEX, handles_key);
	api_atomic_register(L);
	api_dict_register(L);
	api_lock_register(L);
	api_table_register(L);
	bind_functions(L, "luaserv", functions);
	return 1;
}
