/* Commands about settings; nothing is started but an evaluator. */
#pragma once

#include "cli/cli.h"

int cmd_conf_check(struct cli_args *args);
int cmd_conf_settings(struct cli_args *args);
