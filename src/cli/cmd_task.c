#include "cli/cmd_task.h"

#include "conf/settings.h"
#include "ipc/taskqueue.h"

#include <errno.h>

static int push(const struct cli_args *args)
{
	const char *dir = args->tmpdir ? args->tmpdir : settings_find("task_tmpdir")->def;
	struct taskmsg t = { .data = str_from(args->rest) };
	struct err err;
	int queue = taskqueue_find(args->key, &err);
	int r = queue < 0 ? queue : taskqueue_push(queue, dir, (long)args->target + 1, &t);

	if (queue < 0)
		return cli_complain(CLI_FAILED, "%s", err.text);
	if (r == -EAGAIN)
		return cli_complain(CLI_FAILED, "the task queue is full");
	if (r == -EACCES)
		return cli_complain(
			CLI_FAILED,
			"the task cannot be put into the queue, or its data into %s: they belong to another user; run this as "
			"the user that the server runs as",
			dir);
	if (r < 0)
		return cli_complain(CLI_FAILED, "the task cannot be put into the queue: %s", strerror(-r));
	return CLI_DONE;
}

int cmd_task(struct cli_args *args)
{
	if (!args->word || strcmp(args->word, "push") != 0)
		return cli_complain(CLI_USAGE, "task takes a word: luaserv task push -k KEY DATA");
	if (!args->rest)
		return cli_complain(CLI_USAGE, "task push needs the task's data: luaserv task push -k KEY DATA");
	if (!(args->given & CLI_KEY))
		return cli_complain(CLI_USAGE, "task push needs the message_queue_key of the server: -k KEY");
	return push(args);
}
