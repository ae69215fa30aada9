/* luaserv: a child with a role, or the command line. */
#include "cli/cli.h"
#include "role/run_eval.h"
#include "role/run_manager.h"
#include "role/run_master.h"
#include "role/run_program.h"
#include "role/run_worker.h"
#include "sys/fd.h"
#include "sys/proc.h"
#include "sys/spawn.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL_FD = 3 };

static const struct {
	const char *name;
	int (*run)(int control);
} roles[] = {
	{ "master", run_master_daemon },
	{ "manager", run_manager },
	{ "worker", run_worker },
	{ "eval", run_eval },
};

/* What we open must not land where output goes. */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			return;
}

static bool is_control_socket(int fd)
{
	int type = 0;
	socklen_t len = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static int play(char **argv)
{
	char title[64];

	for (size_t i = 0; i < LS_COUNT(roles); i++) {
		if (strcmp(roles[i].name, argv[2]) != 0)
			continue;
		if (!is_control_socket(CONTROL_FD))
			break;
		fd_close_from(CONTROL_FD + 1);
		fd_set_cloexec(CONTROL_FD, true);
		fd_set_nonblock(CONTROL_FD, true);
		snprintf(title, sizeof title, "%s", argv[0]);
		proc_set_title(title);
		return roles[i].run(CONTROL_FD);
	}
	fprintf(stderr, "luaserv: roles are started by luaserv itself\n");
	return CLI_USAGE;
}

/* Everything but its standard descriptors is ours, not the program's. */
static int become_program(char **argv)
{
	if (!is_control_socket(CONTROL_FD)) {
		fprintf(stderr, "luaserv: roles are started by luaserv itself\n");
		return CLI_USAGE;
	}
	fd_close_from(CONTROL_FD + 1);
	fd_set_cloexec(CONTROL_FD, true);
	return run_program(CONTROL_FD, argv);
}

int main(int argc, char **argv)
{
	proc_init_title(argc, argv);
	fill_standard_descriptors();
	if (argc == 3 && strcmp(argv[1], "--role") == 0)
		return play(argv);
	if (argc > SPAWN_PROGRAM_ARGS && strcmp(argv[1], "--role") == 0 && strcmp(argv[2], "program") == 0)
		return become_program(argv);
	return cli_main(argc, argv);
}
