/* The role "program": what spawn_program() (sys/spawn.h) starts, which becomes another program. */
#pragma once

/* `argv` begins with the program's name ("luaserv: program").  Returns only if it cannot: the exit code, and `control` was told. */
int run_program(int control, char **argv);
