/* One version of the app: its settings and its image, frozen. Whoever needs it holds a reference; one
 * thread. */
#pragma once

#include "conf/settings.h"

struct release {
	unsigned refs;
	uint64_t epoch; /* = settings.generation: 1 for the first, one more with each accepted reload */
	struct settings settings;
	int settings_fd;
	int image_fd;
};

/* Thaws the settings; the descriptors are taken, also on failure.  NULL with a sentence. */
struct release *release_new(int settings_fd, int image_fd, struct err *err);
struct release *release_ref(struct release *r);
/* NULL is ignored. */
void release_unref(struct release *r);
/* Makes the frozen settings agree with r->settings, which the caller has changed. */
int release_refreeze(struct release *r, struct err *err);
