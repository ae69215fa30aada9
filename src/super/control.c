#include "super/control.h"

#include "base/bits.h"

#include <errno.h>

enum { TURN_MAX = 64 }; /* messages of one peer per turn of the loop */

static void on_event(struct watch *w, int events LS_UNUSED)
{
	struct control *c = LS_CONTAINER_OF(w, struct control, watch);

	for (int i = 0; i < TURN_MAX && c->open; i++) {
		struct ctl_msg m;
		int r = ctl_recv(w->fd, c->peer, &m);

		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			watch_set(w, 0);
			c->on_end(c, r);
			return;
		}
		c->on_msg(c, &m);
		ctl_close_fds(&m);
	}
}

int control_open(struct control *c, struct loop *l, int fd)
{
	int r = watch_open(&c->watch, l, fd, on_event);

	if (r < 0)
		return r;
	watch_set(&c->watch, WATCH_READ);
	c->open = true;
	return 0;
}

int control_send(struct control *c, const struct ctl_msg *m)
{
	return c->open ? ctl_send(c->watch.fd, m) : -EPIPE;
}

int control_say(struct control *c, enum ctl_type type, uint64_t value, uint64_t extra)
{
	struct ctl_msg m = { .type = type, .value = value, .extra = extra };

	return control_send(c, &m);
}

int control_say_text(struct control *c, enum ctl_type type, const char *text)
{
	/* The shortest text any row allows is one byte, the longest that all do is 4096. */
	struct ctl_msg m = { .type = type, .text = str_take(str_from(text[0] ? text : "?"), 4096) };

	return control_send(c, &m);
}

void control_close(struct control *c, void (*on_closed)(struct watch *w))
{
	if (!c->open)
		return;
	c->open = false;
	watch_close(&c->watch, on_closed);
}
