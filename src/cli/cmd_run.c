#include "cli/cmd_run.h"

#include "base/mem.h"
#include "cli/ask.h"
#include "ipc/ctl.h"
#include "role/run_master.h"
#include "super/jsonline.h"
#include "sys/fd.h"
#include "sys/spawn.h"
#include "sys/unixmsg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- daemon ---------------------------------------------------------------------------------- */

static int send_launch(int control, const struct launch *launch, int ready_fd)
{
	char *text = xalloc(LAUNCH_BYTES_MAX);
	ssize_t len = launch_pack(launch, text, LAUNCH_BYTES_MAX);
	struct ctl_msg m = { .type = CTL_LAUNCH, .n_fds = ready_fd >= 0, .fds = { ready_fd } };
	int r = (int)len;

	if (len >= 0) {
		m.text = str_make(text, (size_t)len);
		r = ctl_send(control, &m);
	}
	free(text);
	return r;
}

/* Until it serves or has failed. */
static int wait_for_daemon(int control)
{
	struct pollfd in = { .fd = control, .events = POLLIN };

	for (;;) {
		struct ctl_msg m;
		int r = ctl_recv(control, CTL_ROLE_MASTER, &m);

		if (r == -EAGAIN) {
			poll(&in, 1, -1);
			continue;
		}
		if (r <= 0)
			return cli_complain(CLI_FAILED, "the server died while it started");
		ctl_close_fds(&m);
		if (m.type == CTL_STARTED)
			return CLI_DONE;
		if (m.type == CTL_FAILED)
			return cli_complain(CLI_FAILED, "%.*s", LS_STR_ARG(m.text));
	}
}

static int start_daemon(const struct launch *launch, int ready_fd)
{
	struct spawn_opts spawn = {
		.role = "master", .title = "luaserv: master", .out = STDERR_FILENO, .new_session = true
	};
	struct child child;
	struct err err;
	int pair[2];
	int code, r = unixmsg_pair(pair);

	if (r < 0)
		return cli_complain(CLI_FAILED, "the daemon's socket cannot be made: %s", strerror(-r));
	spawn.control = pair[1];
	r = spawn_role(&spawn, &child, &err);
	fd_close(&pair[1]);
	if (r < 0) {
		fd_close(&pair[0]);
		return cli_complain(CLI_FAILED, "%s", err.text);
	}
	r = send_launch(pair[0], launch, ready_fd);
	code = r < 0 ? cli_complain(CLI_FAILED, "the daemon cannot be told what to run: %s", strerror(-r))
	             : wait_for_daemon(pair[0]);
	fd_close(&pair[0]);
	fd_close(&child.pidfd);
	return code;
}

int cmd_run(struct cli_args *args)
{
	struct run_master_opts opts = { .launch = &args->launch, .ready_fd = args->ready_fd, .control = -1 };
	int code;

	if (!cli_has_script(args))
		return args->script ? CLI_FAILED : CLI_USAGE;
	if (args->given & CLI_DAEMON)
		return start_daemon(&args->launch, args->ready_fd);
	code = run_master(&opts);
	return code == RUN_MASTER_DAEMONIZE ? start_daemon(&args->launch, args->ready_fd) : code;
}

/* ---- a running one --------------------------------------------------------------------------- */

int cmd_run_reload(struct cli_args *args)
{
	char generation[32];
	char *result;
	int code = ask(args, "reload", args->given & CLI_TASKS ? ",\"tasks\":true" : "", &result);

	if (code != CLI_DONE)
		return code;
	if (jsonline_get(str_from(result), "generation", generation, sizeof generation) > 0)
		cli_complain(CLI_DONE, "the reload is committed, generation %s serves", generation);
	free(result);
	return CLI_DONE;
}

int cmd_run_reopen(struct cli_args *args)
{
	char *result;
	int code = ask(args, "reopen", "", &result);

	if (code == CLI_DONE)
		free(result);
	return code;
}

int cmd_run_stop(struct cli_args *args)
{
	struct rundir_entry *server = xalloc(sizeof *server);
	int code = ask_find(args, server);

	if (code == CLI_DONE)
		code = ask_stop(server);
	free(server);
	return code;
}

/* With what it was started with. */
static int start_again(const struct rundir_entry *server)
{
	struct str rest = str_from(server->options);
	struct launch launch;
	struct err err;
	int code = CLI_DONE;

	launch_init(&launch, server->script, server->directory, server->conf);
	while (rest.p && code == CLI_DONE) {
		struct str option = str_split(&rest, '\n');
		char *text = xmemdup0(option.p, option.len);

		if (option.len && launch_add_option(&launch, text, &err) < 0)
			code = cli_complain(CLI_FAILED, "%s", err.text);
		free(text);
	}
	if (code == CLI_DONE && chdir(server->directory) < 0)
		code = cli_complain(CLI_FAILED, "its directory %s cannot be entered: %s", server->directory,
		                    strerror(errno));
	if (code == CLI_DONE)
		code = start_daemon(&launch, -1);
	launch_fini(&launch);
	return code;
}

int cmd_run_restart(struct cli_args *args)
{
	struct rundir_entry *server = xalloc(sizeof *server);
	int code = ask_find(args, server);

	if (code == CLI_DONE)
		code = ask_stop(server);
	if (code == CLI_DONE)
		code = start_again(server);
	if (code == CLI_DONE && !server->daemon)
		cli_complain(CLI_DONE, "the server ran in the foreground; it is a daemon now");
	free(server);
	return code;
}
