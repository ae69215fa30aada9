/* Keeps the System V queue clean, in the first task worker: files that nobody will read are removed, and in mode 2 messages for task workers
 * that there are not go to others.  They would stay for ever, and a queue has only so much room.
 */
#pragma once

struct janitor;
struct worker;

/* NULL: it is another process's work. */
struct janitor *janitor_new(struct worker *w);
/* NULL is ignored. */
void janitor_free(struct janitor *j);
