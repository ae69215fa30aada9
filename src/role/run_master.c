#include "role/run_master.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/master.h"
#include "role/pidfile.h"
#include "sys/fd.h"
#include "sys/notify.h"
#include "sys/proc.h"
#include "sys/sig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- failing --------------------------------------------------------------------------------- */

/* Tells whoever started us, once. */
static void complain(struct master *m, const char *text)
{
	m->code = 1;
	if (m->daemon.open) {
		control_say_text(&m->daemon, CTL_FAILED, text);
		control_close(&m->daemon, NULL);
	} else {
		fprintf(stderr, "luaserv: %s\n", text);
	}
}

static void fail(struct master *m, const char *text)
{
	complain(m, text);
	shutdown_finish(m);
}

/* ---- serving --------------------------------------------------------------------------------- */

static void on_accept(void *ctx, int fd, const struct port *port, const struct sock_peer *peer)
{
	struct master *m = ctx;

	keeper_give(&m->keeper, fd, port, peer);
}

static bool may_accept(void *ctx)
{
	const struct master *m = ctx;

	return keeper_may_accept(&m->keeper);
}

static void on_refused(void *ctx)
{
	struct master *m = ctx;

	m->refused++;
}

/* Accepts for several reactors, to share connections out evenly; a single one accepts by itself. */
static int begin_to_accept(struct master *m, struct err *err)
{
	for (unsigned i = 0; m->keeper.o.reactors && i < m->ports.n; i++) {
		struct listener_opts opts = {
			.loop = &m->loop,
			.fd = fcntl(ports_fd(&m->ports, 0, i), F_DUPFD_CLOEXEC, 3),
			.port = &m->release->settings.ports[i],
			.on_accept = on_accept,
			.may_accept = may_accept,
			.on_refused = on_refused,
			.ctx = m,
		};

		if (opts.fd < 0)
			return err_set(err, -errno, "no descriptor is left for a listener");
		if (m->keeper.o.reactors == 1 || settings_port_is_dgram(opts.port)) {
			reactor_listen_soon(m->keeper.reactors[i % m->keeper.o.reactors], opts.fd, opts.port);
			continue;
		}
		m->listeners[i] = listener_open(&opts, err);
		if (!m->listeners[i])
			return err->code;
	}
	return 0;
}

static void announce(struct master *m)
{
	const struct settings *s = &m->release->settings;
	char mode[16], reactors[32] = "";
	char *where = NULL;
	size_t len;
	FILE *f = open_memstream(&where, &len);

	if (f) {
		status_write_ports(m, f);
		fclose(f);
	}
	if (m->keeper.o.reactors)
		snprintf(reactors, sizeof reactors, ", %u reactors", m->keeper.o.reactors);
	settings_text(s, NULL, settings_find("mode"), mode, sizeof mode);
	log_notice("luaserv %s %s%s (%s mode, %llu workers%s), pid %d", LS_VERSION,
	           s->n_ports ? "serves " : "runs without a port", where ? where : "", mode,
	           (unsigned long long)s->worker_num, reactors, getpid());
	free(where);
}

static void write_ready_line(struct master *m)
{
	char *line;
	int fd;

	if (m->opts->ready_fd < 0)
		return;
	line = status_ready_line(m);
	if (!line || fd_write_all(m->opts->ready_fd, str_from(line)) < 0)
		log_warn("the ready line could not be written to descriptor %d", m->opts->ready_fd);
	free(line);
	fd = m->opts->ready_fd;
	fd_close(&fd);
}

/* A daemon lets go of the terminal of whoever started it. */
static void detach(struct master *m)
{
	int fd = log_fd();

	if (m->opts->control < 0)
		return;
	control_say(&m->daemon, CTL_STARTED, (uint64_t)getpid(), 0);
	control_close(&m->daemon, NULL);
	if (fd == STDERR_FILENO)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	m->fleet->ops->reopen(m->fleet, fd, -1);
	if (fd != log_fd())
		fd_close(&fd);
}

static void on_serving(void *ctx)
{
	struct master *m = ctx;
	struct err err = { 0 };

	if (m->state != MASTER_STARTS)
		return;
	if (begin_to_accept(m, &err) < 0) {
		complain(m, err.text);
		m->fleet->ops->stop(m->fleet, 0);
		return;
	}
	m->state = MASTER_SERVES;
	announce(m);
	notify_say("READY=1");
	write_ready_line(m);
	detach(m);
}

static void on_start_failed(void *ctx, const char *text)
{
	struct master *m = ctx;
	char all[4352];

	snprintf(all, sizeof all, "the server did not start: %s", text);
	complain(m, all);
}

static void on_stopped(void *ctx)
{
	shutdown_finish(ctx);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void on_attached(void *ctx, unsigned slot, uint64_t generation)
{
	struct master *m = ctx;

	m->fleet->ops->attached(m->fleet, slot, generation);
}

static void on_committed(void *ctx)
{
	struct master *m = ctx;

	m->fleet->ops->committed(m->fleet);
}

static int start_fleet(struct master *m, struct err *err)
{
	struct settings *s = &m->release->settings;
	struct keeper_opts opts = {
		.loop = &m->loop,
		.mailbox = &m->mailbox,
		.release = m->release,
		.ports = &m->ports,
		.taskbox = &m->taskbox,
		.reactors = s->mode == MODE_PROCESS ? (unsigned)s->reactor_num : 0,
		.access_log = m->access_log,
		.on_attached = on_attached,
		.on_committed = on_committed,
		.ctx = m,
	};
	struct fleet base = {
		.loop = &m->loop,
		.keeper = &m->keeper,
		.launch = m->opts->launch,
		.on_serving = on_serving,
		.on_start_failed = on_start_failed,
		.on_stopped = on_stopped,
		.on_reloaded = command_on_reloaded,
		.ctx = m,
	};
	int r = keeper_init(&m->keeper, &opts, err);

	m->has_keeper = true;
	if (r == 0)
		r = keeper_start_reactors(&m->keeper, err);
	if (r < 0)
		return r;
	if (s->mode == MODE_PROCESS)
		m->fleet = fleet_process_new(&base);
	else
		m->fleet = s->mode == MODE_BASE ? fleet_base_new(&base) : fleet_single_new(&base);
	m->state = MASTER_STARTS;
	return m->fleet->ops->start(m->fleet, err);
}

static void on_evaluated(void *ctx, struct release *release, const struct err *err)
{
	struct master *m = ctx;
	struct err why = { 0 };

	m->evaluate = NULL;
	m->release = release;
	if (err->code) {
		fail(m, err->text);
	} else if (release->settings.daemonize && m->opts->control < 0) {
		m->code = RUN_MASTER_DAEMONIZE;
		shutdown_finish(m);
	} else if (boot_open(m, &why) < 0 || start_fleet(m, &why) < 0) {
		fail(m, why.text);
	}
}

static int begin(struct master *m, struct err *err)
{
	struct evaluate_opts opts = {
		.loop = &m->loop,
		.self = CTL_ROLE_MASTER,
		.out = log_fd(),
		.timeout_ms = evaluate_timeout(m->opts->launch),
		.done = on_evaluated,
		.ctx = m,
	};

	m->evaluate = evaluate_script(&opts, m->opts->launch, err);
	return m->evaluate ? 0 : err->code;
}

/* ---- signals --------------------------------------------------------------------------------- */

/* The one place of this process that reaps; as subreaper, or as process 1, we also get strangers. */
static void reap(struct master *m)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		if (!evaluate_exited(pid, status) && !(m->fleet && m->fleet->ops->exited(m->fleet, pid, status)))
			log_debug("process %d, which is none of ours, was reaped", pid);
}

static void on_signal(struct watch *w, int events LS_UNUSED)
{
	struct master *m = LS_CONTAINER_OF(w, struct master, signals);

	for (int sig; (sig = sig_next(w->fd, NULL)) != 0;) {
		if (sig == SIGCHLD)
			reap(m);
		else if (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT)
			shutdown_begin(m);
		else if ((sig == SIGUSR1 || sig == SIGHUP) && m->state == MASTER_SERVES)
			command_reload(m, 0, false);
		else if (sig == SIGUSR2 && m->state == MASTER_SERVES)
			command_reload(m, 0, true);
		else if (sig == SIGWINCH || sig == SIGRTMIN)
			command_reopen(m);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_daemon_msg(struct control *c LS_UNUSED, struct ctl_msg *msg LS_UNUSED)
{
	/* The command line has said what it had to say. */
}

static void on_daemon_end(struct control *c, int why LS_UNUSED)
{
	/* It has gone; the server it wanted is started all the same. */
	control_close(c, NULL);
}

static int open_all(struct master *m, struct err *err)
{
	int given = activation_open(&m->given, err);
	const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD, SIGRTMIN, 0 };
	int fd = given < 0 ? given : sig_open(signals);
	int r = fd < 0 ? fd : loop_init(&m->loop);

	if (given < 0)
		return given;
	notify_open();

	if (r == 0)
		r = mailbox_open(&m->mailbox, &m->loop);
	if (r == 0)
		r = watch_open(&m->signals, &m->loop, fd, on_signal);
	if (r == 0)
		r = proc_become_subreaper();
	if (r < 0)
		return err_set(err, r, "the master cannot start: %s", strerror(-r));
	watch_set(&m->signals, WATCH_READ);
	fd_raise_limit();
	shutdown_init(m);
	m->daemon.peer = CTL_ROLE_CLI;
	m->daemon.on_msg = on_daemon_msg;
	m->daemon.on_end = on_daemon_end;
	if (m->opts->control >= 0)
		control_open(&m->daemon, &m->loop, m->opts->control);
	return 0;
}

static void close_all(struct master *m)
{
	if (m->has_keeper)
		keeper_stop_reactors(&m->keeper);
	mailbox_close(&m->mailbox);
	if (m->fleet)
		m->fleet->ops->free(m->fleet);
	if (m->has_keeper)
		keeper_fini(&m->keeper);
	taskbox_close(&m->taskbox);
	ports_close(&m->ports, true);
	activation_close(&m->given);
	if (m->entry)
		rundir_remove(m->entry);
	if (m->pidfile >= 0)
		pidfile_close(m->pidfile, m->release->settings.pid_file);
	/* Last: whoever waits for our end hears of it now. */
	admin_close(m->admin);
	control_close(&m->daemon, NULL);
	watch_close(&m->signals, NULL);
	loop_fini(&m->loop);
	fd_close(&m->access_log);
	release_unref(m->release);
	free(m->entry);
}

int run_master(const struct run_master_opts *opts)
{
	struct master *m = xzalloc(sizeof *m);
	struct err err = { 0 };
	int code;

	m->opts = opts;
	m->pidfile = -1;
	m->taskbox = (struct taskbox){ .id = -1, .leash = { -1, -1 } };
	m->access_log = -1;
	m->started_ms = clock_ms();
	log_identity("master", -1);
	if (open_all(m, &err) < 0 || begin(m, &err) < 0) {
		complain(m, err.text);
		return 1;
	}
	loop_run(&m->loop);
	if (m->state == MASTER_ENDS && m->code == 0 && m->fleet)
		log_notice("the server has stopped");
	close_all(m);
	code = m->code;
	free(m);
	return code;
}

int run_master_daemon(int control)
{
	struct pollfd in = { .fd = control, .events = POLLIN };
	struct ctl_msg msg = { .type = CTL_HELLO, .text = str_from(ctl_build_id()) };
	struct run_master_opts opts = { .ready_fd = -1, .control = control };
	struct launch launch;
	int code;

	ctl_send(control, &msg);
	while (poll(&in, 1, -1) < 0 && errno == EINTR)
		;
	if (ctl_recv(control, CTL_ROLE_CLI, &msg) != 1 || msg.type != CTL_LAUNCH)
		return 1;
	if (launch_unpack(&launch, msg.text) < 0) {
		ctl_close_fds(&msg);
		return 1;
	}
	if (msg.n_fds)
		opts.ready_fd = ctl_take_fd(&msg, 0);
	opts.launch = &launch;
	code = run_master(&opts);
	launch_fini(&launch);
	return code;
}
