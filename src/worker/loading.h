/* worker_load(), and the handlers of a worker's life. */
#pragma once

#include "conf/settings.h"

struct worker;

/* Runs the handler of worker_exit or worker_stop, (server, worker_id), if there is one; what it raises is logged. */
void loading_tell(struct worker *w, enum settings_event hook);
