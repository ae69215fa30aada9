/* Lifecycle handlers of the app (start, shutdown, worker_error, …) in a Lua state of their own: the
 * manager's, or that of a short-lived eval child in base mode.
 */
#pragma once

#include "super/evaluate.h"

struct hooks;

/* Loads the app from the release's image.  NULL with a sentence. */
struct hooks *hooks_open(struct release *r, const int *shared, struct err *err);
/* 0, also when the app has no such handler; negative with a traceback. */
int hooks_run(struct hooks *h, const struct evaluate_hook *hook, struct err *err);
void hooks_close(struct hooks *h);
/* True if the app registered any event that runs here. */
bool hooks_wanted(const struct settings *s);
