#include "api/api_signal.h"

#include "lua/bind.h"
#include "sys/sig.h"
#include "worker/runtime.h"

#include <signal.h>

/* SIGTERM, SIGINT and SIGQUIT are orders to luaserv itself; others tell of faults or cannot be handled. */
const int api_signal_allowed[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT, SIGURG, SIGIO, SIGPWR, 0 };

/* Registry references of the handlers; userdata of the state. */
struct handlers {
	int ref[NSIG];
};

static struct handlers *handlers_of(lua_State *L)
{
	return state_of(L)->slots[STATE_SIGNALS];
}

static bool is_allowed(int sig)
{
	for (const int *at = api_signal_allowed; *at; at++)
		if (*at == sig)
			return true;
	return false;
}

static void on_done(struct task *t, int status)
{
	struct worker *w = t->ctx;

	if (status != 0)
		handler_log_error(w, t, handler_error_text(t), NULL);
	worker_count_end(w);
}

void api_signal_deliver(int sig, int sender)
{
	struct worker *w = worker_current();
	struct handlers *h = w && w->L ? handlers_of(w->L) : NULL;
	struct handler_call call;

	if (!h || h->ref[sig] == LUA_NOREF)
		return;
	if (!handler_begin(w, h->ref[sig], "signal", 0, &call))
		return; /* max_coroutine is reached, which handler_begin() has said */
	lua_pushstring(call.L, sig_name(sig));
	lua_pushinteger(call.L, sender);
	worker_count_begin(w);
	handler_run(w, &call, 2, on_done, w);
}

/* signal(name, fn | nil) */
static int set_handler(lua_State *L)
{
	struct handlers *h = handlers_of(L);
	const char *name = lua_tostring(L, 1);
	int sig = sig_find(name);
	bool had;

	if (sig == 0)
		return state_error(L, "luaserv.signal: there is no signal \"%s\"", name);
	if (!is_allowed(sig))
		return state_error(
			L,
			"luaserv.signal: %s cannot be handled by a script; HUP, USR1, USR2, ALRM, WINCH, CONT, URG, IO and "
			"PWR can (a stop is told by the worker_exit event)",
			sig_name(sig));
	had = h->ref[sig] != LUA_NOREF;
	luaL_unref(L, LUA_REGISTRYINDEX, h->ref[sig]);
	h->ref[sig] = LUA_NOREF;
	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		h->ref[sig] = luaL_ref(L, LUA_REGISTRYINDEX);
	/* A user process lives as long as it waits for something. */
	state_of(L)->pending += (h->ref[sig] != LUA_NOREF ? 1U : 0U) - (had ? 1U : 0U);
	lua_pushboolean(L, had);
	return 1;
}

static const struct bind_row functions[] = {
	{ "signal", set_handler, "sf?", LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS,
	  "signal(name, fn) -> boolean: fn(name, sender_pid) is called when this process gets the signal; without fn no longer.  Whether there "
	  "was a handler." },
	{ NULL, NULL, NULL, 0, NULL },
};

int api_signal_open(lua_State *L)
{
	struct handlers *h = state_keep(L, STATE_SIGNALS, sizeof *h, NULL);

	for (int sig = 0; sig < NSIG; sig++)
		h->ref[sig] = LUA_NOREF;
	bind_functions(L, "luaserv", functions);
	return 1;
}
