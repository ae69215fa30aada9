#include "cli/cmd_show.h"

#include "cli/ask.h"
#include "ipc/ctl.h"

#include <stdio.h>
#include <stdlib.h>

int cmd_show_status(struct cli_args *args)
{
	bool json = args->given & CLI_JSON;
	char *result;
	int code = ask(args, "status", json ? "" : ",\"format\":\"text\"", &result);

	if (code != CLI_DONE)
		return code;
	printf("%s%s", result, json ? "\n" : "");
	free(result);
	return CLI_DONE;
}

int cmd_show_version(struct cli_args *args)
{
	if (args->given & CLI_JSON)
		printf("{\"version\":\"%s\",\"build\":\"%s\"}\n", LS_VERSION, ctl_build_id());
	else
		printf("luaserv %s\n", LS_VERSION);
	return CLI_DONE;
}
