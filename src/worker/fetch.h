/* Tasks that a task worker takes from the System V queue (task_ipc_mode 2 and 3).
 *
 * The kernel has no descriptor for such a queue, so a thread waits in msgrcv and hands what it gets to the loop.  It looks for the next
 * one only when a task could be begun: what waited here would be lost with this process, or held up by a task that takes long.
 */
#pragma once

#include <stdbool.h>

struct fetch;
struct worker;

/* NULL: tasks come directly, or this is no task worker. */
struct fetch *fetch_new(struct worker *w);
/* What was taken and not begun goes back.  NULL is ignored. */
void fetch_free(struct fetch *f);
/* Once a turn: looks for the next task if one may be begun. */
void fetch_look(struct fetch *f);
/* No more are taken from here on; fetch_is_quiet() once that is sure, and what was taken last is a duty. */
void fetch_stop(struct fetch *f);
bool fetch_is_quiet(const struct fetch *f);
/* The queue is gone, and this process leaves without having been told to. */
bool fetch_has_lost_queue(const struct fetch *f);
