#include "loop/watch.h"

#include <errno.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watch *w = LS_CONTAINER_OF(poll, struct watch, poll);

	/* An error shows at the next read or write, where it gets its errno.  libuv has stopped watching at it. */
	if (status < 0) {
		uv_poll_start(&w->poll, w->events, on_poll);
		events = WATCH_READ | WATCH_WRITE;
	}
	w->on_event(w, events);
}

int watch_open(struct watch *w, struct loop *l, int fd, void (*on_event)(struct watch *w, int events))
{
	int r = uv_poll_init(&l->uv, &w->poll, fd);

	if (r < 0)
		return r;
	w->on_event = on_event;
	w->on_closed = NULL;
	w->fd = fd;
	w->events = 0;
	return 0;
}

void watch_set(struct watch *w, int events)
{
	if (events == w->events || w->fd < 0)
		return;
	w->events = events;
	if (events)
		uv_poll_start(&w->poll, events, on_poll);
	else
		uv_poll_stop(&w->poll);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct watch *w = LS_CONTAINER_OF(handle, struct watch, poll);

	if (w->on_closed)
		w->on_closed(w);
}

int watch_release(struct watch *w, void (*on_closed)(struct watch *w))
{
	int fd = w->fd;

	if (fd < 0)
		return -EBADF;
	w->fd = -1;
	w->events = 0;
	w->on_closed = on_closed;
	uv_close((uv_handle_t *)&w->poll, on_handle_closed);
	return fd;
}

void watch_close(struct watch *w, void (*on_closed)(struct watch *w))
{
	int fd = watch_release(w, on_closed);

	/* libuv has already forgotten the descriptor, events of this turn included. */
	if (fd >= 0)
		close(fd);
}
