/* Commands that print what is. */
#pragma once

#include "cli/cli.h"

int cmd_show_status(struct cli_args *args);
int cmd_show_version(struct cli_args *args);
