/* What a user process is for: the function that the script gave it (server:add_process).
 *
 * It runs once START has come, in a coroutine or plainly.  The process has done its work when the function has returned and nothing of
 * it is left that would run later: coroutines, timers, watches, tasks with callbacks.  When the function fails, the process ends at once.
 */
#pragma once

#include <stdbool.h>

struct mission;
struct worker;

struct mission *mission_new(struct worker *w);
/* NULL is ignored. */
void mission_free(struct mission *m);
void mission_begin(struct mission *m);
/* Once a turn: tells worker_opts.on_finished when it is over. */
void mission_look(struct mission *m);
/* The process leaves: the function's next wait raises "cancelled". */
void mission_cancel(struct mission *m);
