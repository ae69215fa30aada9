/* The crew of a server: the processes that run the app, each in its slot.  Workers come first, then task workers, then user processes; so
 * a slot's number is what Lua calls worker_id.
 */
#pragma once

#include "conf/settings.h"

enum crew_kind { CREW_WORKER, CREW_TASK, CREW_PROCESS };

/* How many slots there are. */
unsigned crew_count(const struct settings *s);
enum crew_kind crew_kind(const struct settings *s, unsigned slot);
/* "worker", "task worker", "user process": for messages. */
const char *crew_title(const struct settings *s, unsigned slot);
/* The first slot of user processes. */
unsigned crew_first_process(const struct settings *s);
/* What the script said of a user process; NULL: the slot is none. */
const struct userproc *crew_process(const struct settings *s, unsigned slot);
