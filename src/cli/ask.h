/* Asks a running server over its admin socket. */
#pragma once

#include "cli/cli.h"

/* The server the options name: -s, -p, or the only one started in this directory. An exit code, told if not
 * CLI_DONE. */
int ask_find(const struct cli_args *args, struct rundir_entry *out);
/* Sends one command, with further JSON members or "", and gives the raw value of its result (malloc'ed), or
 * tells what the server refused. An exit code. */
int ask_server(const struct rundir_entry *server, const char *command, const char *members, char **result);
/* Both. */
int ask(const struct cli_args *args, const char *command, const char *members, char **result);
/* Asks it to stop and waits until its process has ended. */
int ask_stop(const struct rundir_entry *server);
