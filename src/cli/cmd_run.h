/* Commands that start and steer a server. */
#pragma once

#include "cli/cli.h"

int cmd_run(struct cli_args *args);
int cmd_run_reload(struct cli_args *args);
int cmd_run_stop(struct cli_args *args);
int cmd_run_restart(struct cli_args *args);
int cmd_run_reopen(struct cli_args *args);
