#include "role/hooks.h"

#include "api/modules.h"
#include "base/mem.h"
#include "lua/app.h"
#include "lua/image.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

struct hooks {
	lua_State *L;
	struct app *app;
	struct image image;
	bool has_image;
};

bool hooks_wanted(const struct settings *s)
{
	const uint64_t here = 1ULL << EVENT_start | 1ULL << EVENT_shutdown | 1ULL << EVENT_manager_start |
	                      1ULL << EVENT_manager_stop | 1ULL << EVENT_worker_error | 1ULL << EVENT_before_reload |
	                      1ULL << EVENT_after_reload;

	return (s->events & here) != 0;
}

static int load(struct hooks *h, struct release *r, const int *shared, struct err *err)
{
	struct lua_limits limits = { .memory = r->settings.lua_memory_limit };
	char *folder = xstrdup(r->settings.script);
	char *slash = strrchr(folder, '/');
	int result = image_open(&h->image, r->image_fd, err);

	h->has_image = result == 0;
	if (result == 0) {
		h->L = state_new(&limits, modules, err);
		result = h->L ? 0 : err->code;
	}
	if (result == 0) {
		if (slash)
			slash[slash == folder] = '\0';
		state_set_role(h->L, LUA_ROLE_MANAGER);
		h->app = app_new(h->L);
		app_share(h->app, &r->settings.shared, shared);
		image_install(h->L, &h->image, NULL, folder);
		result = app_run(h->app, h->L, &h->image, r->settings.script, err);
	}
	free(folder);
	return result;
}

struct hooks *hooks_open(struct release *r, const int *shared, struct err *err)
{
	struct hooks *h = xzalloc(sizeof *h);

	if (load(h, r, shared, err) == 0)
		return h;
	hooks_close(h);
	return NULL;
}

static int push_arguments(lua_State *L, const struct evaluate_hook *hook)
{
	if (hook->event != EVENT_worker_error)
		return 1;
	lua_pushinteger(L, (lua_Integer)hook->worker_id);
	lua_pushinteger(L, hook->pid);
	lua_pushinteger(L, WIFEXITED(hook->status) ? WEXITSTATUS(hook->status) : 0);
	lua_pushinteger(L, WIFSIGNALED(hook->status) ? WTERMSIG(hook->status) : 0);
	return 5;
}

int hooks_run(struct hooks *h, const struct evaluate_hook *hook, struct err *err)
{
	int handler = h->app->handlers[hook->event];
	int r;

	if (handler == LUA_NOREF)
		return 0;
	lua_rawgeti(h->L, LUA_REGISTRYINDEX, handler);
	lua_rawgeti(h->L, LUA_REGISTRYINDEX, h->app->server_ref);
	r = state_call(h->L, push_arguments(h->L, hook), 0, err);
	return r < 0 ? err_wrap(err, "the %s handler failed", settings_event_name((int)hook->event)) : 0;
}

void hooks_close(struct hooks *h)
{
	if (!h)
		return;
	if (h->app)
		app_free(h->app);
	if (h->L)
		state_close(h->L);
	if (h->has_image)
		image_close(&h->image);
	free(h);
}
