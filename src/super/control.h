/* One end of a control socket in a loop: messages in, end of file noticed once. */
#pragma once

#include "ipc/ctl.h"
#include "loop/watch.h"

struct control {
	struct watch watch;
	unsigned peer; /* enum ctl_role bits the other end may speak as */
	/* Takes the descriptors it wants by ctl_take_fd(); the rest is closed afterwards. */
	void (*on_msg)(struct control *c, struct ctl_msg *m);
	/* No message comes any more.  why: 0: end of file; -EPROTO: the peer broke the rules; others: errno.  The socket is
	 * still to be closed by control_close(). */
	void (*on_end)(struct control *c, int why);
	bool open;
};

/* Takes `fd`, which is non-blocking. The callbacks, `peer` are set by the caller before. Negative errno:
 * the descriptor stays the caller's. */
int control_open(struct control *c, struct loop *l, int fd);
/* -EPIPE when it is closed or the peer has gone. */
int control_send(struct control *c, const struct ctl_msg *m);
/* Without descriptors and text. */
int control_say(struct control *c, enum ctl_type type, uint64_t value, uint64_t extra);
/* FAILED and its like. */
int control_say_text(struct control *c, enum ctl_type type, const char *text);
/* Harmless when closed. `on_closed` (may be NULL) runs when the memory may be freed; it does not run when
 * the socket was not open. */
void control_close(struct control *c, void (*on_closed)(struct watch *w));
