/* The command line: options, the list of commands, help made from it. */
#pragma once

#include "base/err.h"
#include "super/launch.h"
#include "super/rundir.h"

#include <stdbool.h>

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NO_SERVER = 3 };

/* Options, and the bits by which commands say which ones they take. */
enum cli_option {
	CLI_SCRIPT = 1,
	CLI_PIDFILE = 2,
	CLI_CONF = 4,
	CLI_DAEMON = 8,
	CLI_SET = 16,
	CLI_READY_FD = 32,
	CLI_JSON = 64,
	CLI_TASKS = 128,
	CLI_DUMP = 256,
	CLI_KEY = 512,
	CLI_TARGET = 1024,
	CLI_TMPDIR = 2048,
	CLI_WHICH = CLI_SCRIPT | CLI_PIDFILE, /* whom to address */
	CLI_APP = CLI_SCRIPT | CLI_CONF | CLI_SET,
};

struct cli_args {
	unsigned given;     /* enum cli_option */
	const char *script; /* as given, or NULL */
	const char *pidfile;
	const char *dump;
	const char *word; /* behind the command; NULL: none */
	const char *rest; /* behind that; NULL: none */
	uint32_t key;
	unsigned target; /* task worker */
	const char *tmpdir;
	int ready_fd;
	struct launch launch; /* -s, -c and -o with absolute paths */
};

struct cli_command {
	const char *name;
	int (*run)(struct cli_args *args);
	unsigned takes;   /* enum cli_option */
	const char *word; /* what may stand behind it, for help; NULL: nothing */
	const char *rest; /* and behind that */
	const char *doc;
};

extern const struct cli_command cli_commands[];

/* Runs what the arguments say; returns the exit code. */
int cli_main(int argc, char **argv);
/* "luaserv: …" on standard error; returns `code`. */
int cli_complain(enum cli_exit code, const char *fmt, ...) LS_PRINTF(2, 3);
/* False, and told: no script was named or it cannot be read. */
bool cli_has_script(const struct cli_args *args);
