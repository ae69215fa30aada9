#include "cli/cli.h"

#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd_conf.h"
#include "cli/cmd_run.h"
#include "cli/cmd_show.h"
#include "cli/cmd_task.h"
#include "conf/settings.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run_help(struct cli_args *args);

/* THE LIST of commands; the first one is meant when none is named. */
const struct cli_command cli_commands[] = {
	{ "run", cmd_run, CLI_APP | CLI_DAEMON | CLI_READY_FD, NULL, NULL,
	  "Run the server, in the foreground or (-d) as a daemon." },
	{ "check", cmd_conf_check, CLI_APP, NULL, NULL,
	  "Evaluate the app, check its settings, print where it would listen." },
	{ "reload", cmd_run_reload, CLI_WHICH | CLI_TASKS, NULL, NULL,
	  "Load the app anew; prints why when it is refused, and the old one serves on." },
	{ "stop", cmd_run_stop, CLI_WHICH, NULL, NULL, "Stop the server and wait until it has ended." },
	{ "restart", cmd_run_restart, CLI_WHICH, NULL, NULL, "Stop the server and start it again as a daemon." },
	{ "reopen", cmd_run_reopen, CLI_WHICH, NULL, NULL, "Open the log files again, after they were renamed." },
	{ "status", cmd_show_status, CLI_WHICH | CLI_JSON, NULL, NULL, "Print what the server does." },
	{ "settings", cmd_conf_settings, CLI_APP | CLI_JSON | CLI_DUMP, "name", NULL,
	  "Print settings: value, where it comes from, range and meaning." },
	{ "task", cmd_task, CLI_KEY | CLI_TARGET | CLI_TMPDIR, "push", "DATA",
	  "Put a task into the queue of a server with that message_queue_key." },
	{ "version", cmd_show_version, CLI_JSON, NULL, NULL, "Print the version." },
	{ "help", run_help, 0, NULL, NULL, "Print this." },
	{ NULL, NULL, 0, NULL, NULL, NULL },
};

struct option_row {
	const char *name;
	const char *long_name; /* NULL: none */
	const char *value;     /* what it takes, for help; NULL: nothing */
	enum cli_option bit;
	const char *doc;
};

static const struct option_row option_rows[] = {
	{ "-s", "--script", "FILE", CLI_SCRIPT, "The app script." },
	{ "-c", "--conf", "FILE", CLI_CONF, "A Lua file that returns a table of settings." },
	{ "-o", "--option", "NAME=VALUE", CLI_SET, "A setting that overrides all others; may be repeated." },
	{ "-d", "--daemon", NULL, CLI_DAEMON, "Run in the background." },
	{ "-p", "--pid-file", "FILE", CLI_PIDFILE, "Address the server with this pid file." },
	{ "--ready-fd", NULL, "N", CLI_READY_FD, "Write a line of JSON to descriptor N when the server can serve." },
	{ "--json", NULL, NULL, CLI_JSON, "Print for programs." },
	{ "--tasks", NULL, NULL, CLI_TASKS, "Only the task workers." },
	{ "-k", "--key", "KEY", CLI_KEY, "The message_queue_key of a server, decimal or 0x…." },
	{ "--target", NULL, "N", CLI_TARGET, "Task worker N, counted from 0, of a server with task_ipc_mode 2." },
	{ "--tmpdir", NULL, "DIR", CLI_TMPDIR, "That server's task_tmpdir, for large DATA; /tmp unless given." },
	{ "--dump", NULL, "FORMAT", CLI_DUMP, "Print all settings as text, conf, markdown, json, lua or man." },
};

int cli_complain(enum cli_exit code, const char *fmt, ...)
{
	va_list args;

	fputs("luaserv: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

bool cli_has_script(const struct cli_args *args)
{
	if (!args->script) {
		cli_complain(CLI_USAGE, "no app script was named; add -s app.lua");
		return false;
	}
	if (access(args->launch.script, R_OK) < 0) {
		cli_complain(CLI_FAILED, "the script %s cannot be read: %s", args->launch.script, strerror(errno));
		return false;
	}
	return true;
}

/* ---- help ------------------------------------------------------------------------------------ */

static void print_help(FILE *f)
{
	fputs("usage: luaserv -s app.lua [-c conf] [-d] [-o name=value …]\n       luaserv COMMAND [options]\n\n", f);
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		char words[32] = "";

		snprintf(words, sizeof words, "%s%s%s", c->word ? c->word : "", c->rest ? " " : "",
		         c->rest ? c->rest : "");
		fprintf(f, "  %-9s %-9s %s\n", c->name, words, c->doc);
	}
	fputs("\n", f);
	for (size_t i = 0; i < LS_COUNT(option_rows); i++) {
		const struct option_row *o = &option_rows[i];
		char left[48];

		snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
		fprintf(f, "  %-16s %s\n", left, o->doc);
	}
	fputs("\nA running server is named by -s or -p, or is the only one started in this directory.\n"
	      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such server.\n",
	      f);
}

static int run_help(struct cli_args *args LS_UNUSED)
{
	print_help(stdout);
	return CLI_DONE;
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* The row, and where its value begins if it is in the same argument ("-oname=value", "--dump=json"). */
static const struct option_row *find_option(const char *arg, const char **value)
{
	for (size_t i = 0; i < LS_COUNT(option_rows); i++) {
		const struct option_row *o = &option_rows[i];
		const char *names[] = { o->name, o->long_name };

		for (size_t k = 0; k < LS_COUNT(names); k++) {
			size_t len = names[k] ? strlen(names[k]) : 0;

			if (!len || strncmp(arg, names[k], len) != 0)
				continue;
			*value = NULL;
			if (!arg[len])
				return o;
			*value = arg + len + (arg[len] == '=' && len > 2);
			if (o->value && (arg[len] == '=' || len == 2))
				return o;
		}
	}
	return NULL;
}

static char *absolute(const char *directory, const char *path)
{
	char out[PATH_MAX];

	if (path[0] == '/')
		return xstrdup(path);
	while (strncmp(path, "./", 2) == 0)
		path += 2;
	if (snprintf(out, sizeof out, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path) >= (int)sizeof out)
		return xstrdup(path);
	return xstrdup(out);
}

/* As settings take it, or as ipcs prints it. */
static int take_key(struct cli_args *args, const char *value)
{
	char *end;
	unsigned long long n = strtoull(value, &end, value[0] == '0' && (value[1] | 32) == 'x' ? 16 : 10);

	if (value[0] < '0' || value[0] > '9' || *end || n == 0 || n > settings_find("message_queue_key")->max)
		return cli_complain(CLI_USAGE, "--key takes a message_queue_key such as 1234 or 0x4d2, not \"%s\"",
		                    value);
	args->key = (uint32_t)n;
	return CLI_DONE;
}

static int take_target(struct cli_args *args, const char *value)
{
	uint64_t n;

	if (str_to_u64(str_from(value), &n) < 0 || n >= settings_find("task_worker_num")->max)
		return cli_complain(CLI_USAGE, "--target takes the number of a task worker, from 0, not \"%s\"", value);
	args->target = (unsigned)n;
	return CLI_DONE;
}

static int take_option(struct cli_args *args, const struct option_row *o, const char *value)
{
	struct err err;
	uint64_t n;

	args->given |= o->bit;
	switch (o->bit) {
	case CLI_SCRIPT:
		args->script = value;
		free(args->launch.script);
		args->launch.script = absolute(args->launch.directory, value);
		break;
	case CLI_CONF:
		free(args->launch.conf);
		args->launch.conf = absolute(args->launch.directory, value);
		break;
	case CLI_SET:
		if (launch_add_option(&args->launch, value, &err) < 0)
			return cli_complain(CLI_USAGE, "%s", err.text);
		break;
	case CLI_PIDFILE:
		args->pidfile = value;
		break;
	case CLI_DUMP:
		args->dump = value;
		break;
	case CLI_READY_FD:
		if (str_to_u64(str_from(value), &n) < 0 || n > 65535)
			return cli_complain(CLI_USAGE, "--ready-fd takes the number of a descriptor, not \"%s\"",
			                    value);
		args->ready_fd = (int)n;
		break;
	case CLI_KEY:
		return take_key(args, value);
	case CLI_TARGET:
		return take_target(args, value);
	case CLI_TMPDIR:
		args->tmpdir = value;
		break;
	default:
		break;
	}
	return CLI_DONE;
}

static int complain_of_word(const char *word)
{
	const struct cli_command *nearest = cli_commands;
	unsigned least = UINT_MAX;

	for (const struct cli_command *c = cli_commands; c->name; c++) {
		unsigned d = str_distance(str_from(word), str_from(c->name));

		if (d < least) {
			least = d;
			nearest = c;
		}
	}
	if (str_ends(str_from(word), LS_STR(".lua")))
		return cli_complain(CLI_USAGE, "there is no command \"%s\"; to run a script: luaserv -s %s", word,
		                    word);
	if (least <= 2)
		return cli_complain(CLI_USAGE, "there is no command \"%s\"; did you mean %s?", word, nearest->name);
	return cli_complain(CLI_USAGE, "there is no command \"%s\"; luaserv help lists them", word);
}

static int take_word(struct cli_args *args, const char *word, const struct cli_command **command)
{
	for (const struct cli_command *c = cli_commands; !*command && c->name; c++)
		if (strcmp(c->name, word) == 0) {
			*command = c;
			return CLI_DONE;
		}
	if (!*command)
		return complain_of_word(word);
	if (!(*command)->word || (args->word && (!(*command)->rest || args->rest)))
		return cli_complain(CLI_USAGE, "%s does not take \"%s\"", (*command)->name, word);
	*(args->word ? &args->rest : &args->word) = word;
	return CLI_DONE;
}

static int take_argument(struct cli_args *args, int argc, char **argv, int *i, const struct cli_command **command)
{
	const char *value = NULL;
	const struct option_row *o;

	if (strcmp(argv[*i], "-h") == 0 || strcmp(argv[*i], "--help") == 0)
		return take_word(args, "help", command);
	if (strcmp(argv[*i], "-v") == 0 || strcmp(argv[*i], "--version") == 0)
		return take_word(args, "version", command);
	if (argv[*i][0] != '-')
		return take_word(args, argv[*i], command);
	o = find_option(argv[*i], &value);
	if (!o)
		return cli_complain(CLI_USAGE, "there is no option \"%s\"; luaserv help lists them", argv[*i]);
	if (o->value && !value) {
		if (*i + 1 >= argc)
			return cli_complain(CLI_USAGE, "%s needs a value: %s %s", argv[*i], o->name, o->value);
		value = argv[++*i];
	}
	return take_option(args, o, value);
}

static int check_options(const struct cli_args *args, const struct cli_command *command)
{
	for (size_t i = 0; i < LS_COUNT(option_rows); i++)
		if (args->given & option_rows[i].bit & ~command->takes)
			return cli_complain(CLI_USAGE, "%s does not take %s", command->name, option_rows[i].name);
	return CLI_DONE;
}

int cli_main(int argc, char **argv)
{
	struct cli_args args = { .ready_fd = -1 };
	const struct cli_command *command = NULL;
	char directory[PATH_MAX];
	int code = CLI_DONE;

	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (!getcwd(directory, sizeof directory))
		return cli_complain(CLI_FAILED, "the current directory cannot be read: %s", strerror(errno));
	launch_init(&args.launch, NULL, directory, NULL);
	for (int i = 1; i < argc && code == CLI_DONE; i++)
		code = take_argument(&args, argc, argv, &i, &command);
	if (!command)
		command = cli_commands;
	if (code == CLI_DONE)
		code = check_options(&args, command);
	if (code == CLI_DONE)
		code = command->run(&args);
	launch_fini(&args.launch);
	if (fflush(stdout) != 0 && code == CLI_DONE)
		code = cli_complain(CLI_FAILED, "standard output cannot be written: %s", strerror(errno));
	return code;
}
