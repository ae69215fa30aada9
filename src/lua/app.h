/* What the app script declared: servers, ports, settings, handlers.  The same code in every role that runs the script. */
#pragma once

#include "conf/settings.h"
#include "lua/state.h"

struct framer;

/* A user process; registry references. */
struct app_process {
	int object; /* what luaserv.process() returned */
	int fn;     /* what it was given; a function once the script has ended */
};

struct app {
	struct settings settings; /* as the script and the layers below it say; workers compare, eval freezes */
	bool has_server;
	bool started;                 /* server:start() was reached */
	bool is_function_app;         /* the script returned function(req, res) */
	int server_ref;               /* registry reference of the server object */
	int script_ref;               /* the script's coroutine: keeps it from being collected */
	int handlers[EVENTS];         /* server-wide; registry references of functions, LUA_NOREF: none */
	int (*port_handlers)[EVENTS]; /* [n_ports][EVENTS] of the port itself; falls back to handlers */
	unsigned n_port_handlers;
	struct app_process *processes; /* [n_processes], in the order of add_process */
	unsigned n_processes;
	struct framer *framers; /* [n_framers] by port index: protocols written in Lua; framer_load_all() */
	unsigned n_framers;
	const struct shared_list *shared; /* NULL: eval */
	const int *shared_fds;            /* [shared->n] */
};

/* Attaches an empty app to the state; app_of() finds it. */
struct app *app_new(lua_State *L);
struct app *app_of(lua_State *L);
/* What the accepted script declared to be shared, and the memory of each; both lent, and outlive the state.  Without them (eval)
 * the app works on memory of its own. */
void app_share(struct app *a, const struct shared_list *declared, const int *fds);
void app_free(struct app *a);
/* Loads and runs the script until it ends or calls server:start(); resolves handlers.  `path` is absolute. */
struct image;
int app_run(struct app *a, lua_State *L, const struct image *image, const char *path, struct err *err);
/* The handler of an event on a port (falls back to the server's), or LUA_NOREF. */
int app_handler(const struct app *a, unsigned port, enum settings_event event);
