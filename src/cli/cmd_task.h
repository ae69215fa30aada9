/* Tasks for a server that works off a queue. */
#pragma once

#include "cli/cli.h"

int cmd_task(struct cli_args *args);
