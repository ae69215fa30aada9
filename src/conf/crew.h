/* The crew of a server: the processes that run the app, each in its slot.  Workers come first, task workers follow; so a slot's number
 * is what Lua calls worker_id.
 */
#pragma once

#include "conf/settings.h"

enum crew_kind { CREW_WORKER, CREW_TASK };

/* How many slots there are. */
unsigned crew_count(const struct settings *s);
enum crew_kind crew_kind(const struct settings *s, unsigned slot);
/* "worker", "task worker": for messages. */
const char *crew_title(const struct settings *s, unsigned slot);
