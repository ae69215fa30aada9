/* The vault: the memory of the app's tables, dicts, atomics and locks, one sealed memfd for each name.  In the master, so that
 * it outlives every process that uses it.
 *
 * Memory is made for every name that a release declares, and is kept until the server stops, also when a later release does
 * not declare the name any more: declared again, its content is there again.
 */
#pragma once

#include "conf/settings.h"

struct vault_item {
	struct shared is;
	int fd;
	bool fresh; /* made for a release that is not accepted yet */
};

struct vault {
	struct vault_item *items; /* [n] */
	unsigned n;
};

/* Makes what the release needs and is not there yet.  -EBUSY: a name was something else before. */
int vault_hold(struct vault *v, const struct shared_list *wanted, struct err *err);
/* Whether the release that the fresh ones were made for was accepted; if not, their memory goes. */
void vault_settle(struct vault *v, bool accepted);
void vault_fini(struct vault *v);

/* The same memory as another process sees it: descriptors in the order of the release's declarations. */
struct vault_share {
	int fds[SHARED_MAX];
	unsigned n;
};

/* Fills `out` with descriptors that stay the vault's; vault_hold() was called for that list. */
void vault_share(const struct vault *v, const struct shared_list *wanted, struct vault_share *out);
/* Sends them as SHARED messages; nothing if there are none. */
int vault_send(const struct vault *v, const struct shared_list *wanted, int control);

/* One SHARED message, whose descriptors are taken; the first of them replaces what was there.  -EPROTO. */
struct ctl_msg;
int vault_share_take(struct vault_share *s, struct ctl_msg *m);
void vault_share_close(struct vault_share *s);
