#include "role/run_eval.h"

#include "api/modules.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/ctl.h"
#include "lua/app.h"
#include "lua/framer.h"
#include "lua/image.h"
#include "role/hooks.h"
#include "role/lifeline.h"
#include "role/vault.h"
#include "super/launch.h"
#include "sys/fd.h"
#include "sys/shm.h"
#include "sys/sig.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONF_BYTES_MAX = 1 << 20 };

/* ---- the -c file ----------------------------------------------------------------------------- */

/* A value of the table as settings_set() takes it; lists are joined by commas. */
static int value_text(lua_State *L, int idx, char *out, size_t cap)
{
	if (lua_type(L, idx) == LUA_TBOOLEAN)
		return str_copy(str_from(lua_toboolean(L, idx) ? "true" : "false"), out, cap) ? 0 : -EMSGSIZE;
	if (lua_isstring(L, idx)) {
		size_t len;
		const char *text = lua_tolstring(L, idx, &len);

		return str_copy(str_make(text, len), out, cap) ? 0 : -EMSGSIZE;
	}
	if (!lua_istable(L, idx))
		return -EINVAL;

	size_t used = 0;

	out[0] = '\0';
	for (int i = 1, n = (int)lua_objlen(L, idx); i <= n; i++) {
		lua_rawgeti(L, idx, i);

		const char *item = lua_isstring(L, -1) ? lua_tostring(L, -1) : NULL;
		int len = item ? snprintf(out + used, cap - used, "%s%s", i > 1 ? "," : "", item) : -1;

		lua_pop(L, 1);
		if (len < 0 || (size_t)len >= cap - used)
			return item ? -EMSGSIZE : -EINVAL;
		used += (size_t)len;
	}
	return 0;
}

static int apply_table(lua_State *L, struct settings *s, struct err *err)
{
	char text[8192];

	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			return err_set(err, -EINVAL, "its table has a key that is not a setting's name");

		const char *name = lua_tostring(L, -2);

		if (value_text(L, lua_gettop(L), text, sizeof text) < 0)
			return err_set(err, -EINVAL, "%s has a %s, which is no setting's value", name,
			               luaL_typename(L, -1));
		if (settings_set(s, NULL, name, str_from(text), LAYER_FILE, err) < 0)
			return err->code;
	}
	return 0;
}

/* Runs without libraries: the file can compute, not act. */
static int run_conf(lua_State *L, struct str text, const char *path, struct settings *s, struct err *err)
{
	char chunk[PATH_MAX + 2];

	snprintf(chunk, sizeof chunk, "@%s", path);
	if (luaL_loadbuffer(L, text.p, text.len, chunk) != 0)
		return err_set(err, -EINVAL, "%s", lua_tostring(L, -1));
	lua_newtable(L);
	lua_setfenv(L, -2);
	if (state_call(L, 0, 1, err) < 0)
		return err->code;
	if (!lua_istable(L, -1))
		return err_set(err, -EINVAL, "it returned a %s; it must return a table of settings",
		               luaL_typename(L, -1));
	return apply_table(L, s, err);
}

static int apply_conf(const char *path, struct settings *s, struct err *err)
{
	struct lua_limits limits = { .memory = 64 << 20 };
	char *text;
	ssize_t len = fd_read_file(path, CONF_BYTES_MAX, &text, err);
	lua_State *L;
	int r;

	if (len < 0)
		return (int)len;
	if (len > 0 && text[0] == LUA_SIGNATURE[0]) {
		free(text);
		return err_set(err, -EINVAL, "%s is bytecode; a configuration file is Lua text", path);
	}
	L = state_new(&limits, NULL, err);
	r = L ? run_conf(L, str_make(text, (size_t)len), path, s, err) : err->code;
	if (L)
		state_close(L);
	free(text);
	return r < 0 ? err_wrap(err, "the configuration file %s", path) : 0;
}

/* ---- the script ------------------------------------------------------------------------------ */

/* What stands below and above the script; settings_set() keeps their order, whatever the script says later. */
static int apply_layers(const struct launch *l, struct settings *s, struct err *err)
{
	s->script = xstrdup(l->script);
	s->directory = xstrdup(l->directory);
	s->generation = 1;
	if (l->conf[0] && apply_conf(l->conf, s, err) < 0)
		return err->code;
	if (settings_read_environment(s, err) < 0)
		return err->code;
	for (unsigned i = 0; i < l->n_options; i++) {
		struct str value = str_from(l->options[i]);
		struct str name = str_split(&value, '=');
		char key[128];

		if (!str_copy(name, key, sizeof key))
			return err_set(err, -ENOENT, "-o %.*s…: there is no such setting", 40, name.p);
		if (settings_set(s, NULL, key, value, LAYER_OPTION, err) < 0)
			return err_wrap(err, "-o %s", l->options[i]);
	}
	return 0;
}

static int collect_image(struct image_builder *b, const struct settings *s, const char *folder, struct err *err)
{
	struct stat st;
	int fd, r = image_builder_add(b, s->script, err);

	if (r == 0)
		r = image_builder_add_tree(b, folder, err);
	for (unsigned i = 0; i < s->image.count && r == 0; i++)
		r = image_builder_add_glob(b, folder, s->image.items[i], err);
	if (r < 0)
		return r;
	fd = image_builder_freeze(b, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > s->image_max_size) {
		fd_close(&fd);
		return err_set(err, -EFBIG, "the app image takes %lld bytes, more than image_max_size",
		               (long long)st.st_size);
	}
	return fd;
}

static int freeze_settings(struct settings *s, struct err *err)
{
	char *blob;
	size_t len;
	int fd, r = settings_resolve(s, err);

	if (r == 0)
		r = settings_check(s, err);
	if (r < 0)
		return r;
	r = settings_freeze(s, &blob, &len);
	fd = r < 0 ? r : shm_freeze("luaserv-settings", str_make(blob, len));
	if (r == 0)
		free(blob);
	return fd < 0 ? err_set(err, fd, "the settings cannot be frozen: %s", strerror(-fd)) : fd;
}

/* Fills the two descriptors of the answer. */
static int evaluate(const struct launch *l, int *settings_fd, int *image_fd, struct err *err)
{
	struct lua_limits limits = { 0 };
	struct image_builder *b = image_builder_new(1ULL << 30); /* the script may set its own limit, looked at later */
	lua_State *L = state_new(&limits, modules, err);
	struct app *app = NULL;
	char *folder = xstrdup(l->script);
	char *slash = strrchr(folder, '/');
	int r = L ? 0 : err->code;

	if (slash)
		slash[slash == folder] = '\0';
	if (r == 0) {
		state_set_role(L, LUA_ROLE_EVAL);
		app = app_new(L);
		r = apply_layers(l, &app->settings, err);
	}
	if (r == 0) {
		image_install(L, NULL, b, folder);
		r = app_run(app, L, NULL, l->script, err);
	}
	if (r == 0)
		r = *settings_fd = freeze_settings(&app->settings, err);
	if (r >= 0)
		r = framer_load_all(app, L, &app->settings, err);
	if (r >= 0)
		r = *image_fd = collect_image(b, &app->settings, folder, err);
	if (app)
		app_free(app);
	if (L)
		state_close(L);
	image_builder_free(b);
	free(folder);
	return r < 0 ? r : 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer_failed(int control, const struct err *err)
{
	struct ctl_msg m = { .type = CTL_FAILED, .text = str_from(err->text[0] ? err->text : "it failed") };

	ctl_send(control, &m);
}

static int on_eval(int control, const struct ctl_msg *request)
{
	struct ctl_msg m = { .type = CTL_EVALUATED, .n_fds = 2, .fds = { -1, -1 } };
	struct err err = { 0 };
	struct launch l;
	int r = launch_unpack(&l, request->text);

	if (r < 0)
		err_set(&err, r, "the request to evaluate the app is malformed");
	else
		r = evaluate(&l, &m.fds[0], &m.fds[1], &err);
	launch_fini(&l);
	if (r < 0)
		answer_failed(control, &err);
	else
		ctl_send(control, &m);
	ctl_close_fds(&m);
	return r < 0;
}

static int on_hook(int control, struct ctl_msg *request, const struct vault_share *shared)
{
	struct evaluate_hook hook = {
		.event = (enum settings_event)request->value,
		.worker_id = request->slot,
		.pid = (int)request->generation,
		.status = (int)request->extra,
	};
	struct err err = { 0 };
	struct release *release = release_new(ctl_take_fd(request, 0), ctl_take_fd(request, 1), &err);
	struct hooks *h = NULL;
	struct ctl_msg m = { .type = CTL_HOOKED };
	bool failed;

	if (release && request->value < EVENTS && shared->n == release->settings.shared.n)
		h = hooks_open(release, shared->fds, &err);
	failed = !h || hooks_run(h, &hook, &err) < 0;
	if (failed)
		answer_failed(control, &err);
	else
		ctl_send(control, &m);
	hooks_close(h);
	release_unref(release);
	return failed;
}

/* What it is to do, and before that what it is given. */
static int receive_order(int control, struct vault_share *shared, struct ctl_msg *m)
{
	struct pollfd in = { .fd = control, .events = POLLIN };

	for (;;) {
		int r;

		if (poll(&in, 1, -1) < 0 && errno == EINTR)
			continue;
		r = ctl_recv(control, CTL_ROLE_SUPER | CTL_ROLE_CLI, m);
		if (r != 1)
			return -EPROTO;
		if (m->type != CTL_SHARED)
			return 0;
		r = vault_share_take(shared, m);
		ctl_close_fds(m);
		if (r < 0)
			return r;
	}
}

int run_eval(int control)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGTERM, 0 };
	struct vault_share shared = { .n = 0 };
	struct ctl_msg m = { .type = CTL_HELLO, .text = str_from(ctl_build_id()) };
	int code = 1;

	log_identity("eval", -1);
	if (lifeline_start(control) < 0 || sig_open(ignored) < 0)
		return 1;
	ctl_send(control, &m);
	if (receive_order(control, &shared, &m) < 0)
		return 1;
	if (m.type == CTL_EVAL)
		code = on_eval(control, &m);
	else if (m.type == CTL_HOOK)
		code = on_hook(control, &m, &shared);
	ctl_close_fds(&m);
	vault_share_close(&shared);
	return code;
}
