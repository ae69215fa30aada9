#include "role/run_program.h"

#include "sys/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXIT_CANNOT_START = 127 }; /* as a shell says it */

/* 0 or a positive errno. */
static int tie_to(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return errno;
	/* It ended before it was said. */
	return getppid() == parent ? 0 : ESRCH;
}

int run_program(int control, char **argv)
{
	pid_t parent = (pid_t)atoi(argv[SPAWN_PROGRAM_ARGS - 2]);
	const char *directory = argv[SPAWN_PROGRAM_ARGS - 1];
	char **args = argv + SPAWN_PROGRAM_ARGS;
	struct spawn_failure why = { .error = parent ? tie_to(parent) : 0 };

	if (why.error == 0 && directory[0] && chdir(directory) < 0)
		why = (struct spawn_failure){ errno, true };
	if (why.error == 0) {
		execvp(args[0], args);
		why.error = errno;
	}
	/* Nobody listens any more if it fails. */
	(void)!send(control, &why, sizeof why, MSG_NOSIGNAL);
	return EXIT_CANNOT_START;
}
