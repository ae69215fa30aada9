/* The fleet of single mode: the worker stands in the master's own process and loop, for debuggers and
 * profilers. Nobody supervises it, and it cannot be reloaded.
 */
#include "role/fleet.h"

#include "base/mem.h"
#include "role/engine.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { GENERATION = 1 };

struct single_fleet {
	struct fleet base;
	struct engine *engine;
	struct vault_share shared;
};

static struct single_fleet *of(struct fleet *f)
{
	return LS_CONTAINER_OF(f, struct single_fleet, base);
}

static void on_loaded(void *ctx, const struct err *err)
{
	struct single_fleet *f = ctx;
	struct err why = *err;

	if (why.code == 0 && engine_start(f->engine, &why) == 0) {
		keeper_attach(f->base.keeper, 0, GENERATION);
		f->base.on_serving(f->base.ctx);
		return;
	}
	f->base.on_start_failed(f->base.ctx, why.text);
	f->base.on_stopped(f->base.ctx);
}

static void on_retire(void *ctx LS_UNUSED)
{
	/* There is nobody to take over. */
}

static void on_stopped(void *ctx)
{
	struct single_fleet *f = ctx;

	f->base.on_stopped(f->base.ctx);
}

/* The keeper makes the counters' memory as for any worker; its control socket is not needed. */
static int open_chan(struct single_fleet *f, struct chan_fds *out, struct err *err)
{
	struct keeper *k = f->base.keeper;
	struct keeper_fds fds;
	struct keeper_gen *g;
	int r = keeper_open(k, 0, GENERATION, k->accepted->epoch, false, 0, &fds, err);

	if (r < 0)
		return r;
	fd_close(&fds.control);
	fd_close(&fds.child_end);
	fd_close(&fds.up);
	g = keeper_newest(k, 0);
	keeper_spawned(k, 0, GENERATION, getpid(), -1);
	*out = g->fds;
	return 0;
}

static int start(struct fleet *base, struct err *err)
{
	struct single_fleet *f = of(base);
	int listeners[SETTINGS_PORTS_MAX];
	struct engine_opts opts = {
		.loop = base->loop,
		.release = base->keeper->accepted,
		.generation = GENERATION,
		.shared = f->shared.fds,
		.master_pid = getpid(),
		.manager_pid = getpid(),
		.shared_fd = -1,
		.queue = -1,
		.listeners = listeners,
		.n_listeners = base->keeper->o.ports->n,
		.access_log = -1,
		.on_loaded = on_loaded,
		.on_retire = on_retire,
		.on_stopped = on_stopped,
		.ctx = f,
	};

	if (open_chan(f, &opts.chan, err) < 0)
		return err->code;
	vault_share(&base->keeper->vault, &opts.release->settings.shared, &f->shared);
	for (unsigned i = 0; i < opts.n_listeners; i++)
		listeners[i] = fcntl(ports_fd(base->keeper->o.ports, 0, i), F_DUPFD_CLOEXEC, 3);
	if (base->keeper->o.access_log >= 0)
		opts.access_log = fcntl(base->keeper->o.access_log, F_DUPFD_CLOEXEC, 3);
	f->engine = engine_new(&opts, err);
	if (!f->engine)
		return err->code;
	engine_load(f->engine);
	return 0;
}

static void reload(struct fleet *base, uint64_t tag, bool tasks_only LS_UNUSED)
{
	base->on_reloaded(base->ctx, tag, false, "single mode cannot reload; restart the server");
}

static void stop(struct fleet *base, uint64_t wait_ms)
{
	if (of(base)->engine)
		engine_stop(of(base)->engine, wait_ms, true);
	else
		base->on_stopped(base->ctx);
}

static void reopen(struct fleet *base, int log LS_UNUSED, int access_log)
{
	if (access_log >= 0)
		engine_access_log(of(base)->engine, fcntl(access_log, F_DUPFD_CLOEXEC, 3));
}

static bool exited(struct fleet *base LS_UNUSED, pid_t pid LS_UNUSED, int status LS_UNUSED)
{
	return false;
}

static void attached(struct fleet *base LS_UNUSED, unsigned slot LS_UNUSED, uint64_t generation LS_UNUSED)
{
	/* The engine links its reactor itself. */
}

static void committed(struct fleet *base LS_UNUSED)
{
	/* There are no reloads. */
}

static pid_t manager_pid(const struct fleet *base LS_UNUSED)
{
	return 0;
}

static void free_fleet(struct fleet *base)
{
	engine_free(of(base)->engine);
	free(of(base));
}

static const struct fleet_ops ops = {
	.start = start,
	.reload = reload,
	.stop = stop,
	.reopen = reopen,
	.exited = exited,
	.attached = attached,
	.committed = committed,
	.manager_pid = manager_pid,
	.free = free_fleet,
};

struct fleet *fleet_single_new(const struct fleet *base)
{
	struct single_fleet *f = xzalloc(sizeof *f);

	f->base = *base;
	f->base.ops = &ops;
	return &f->base;
}
