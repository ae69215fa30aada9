#include "loop/watch.h"

#include <errno.h>
#include <unistd.h>

void watch_on_events(struct watch *w, uint32_t events)
{
	/* An error or a hang-up shows at the next read or write, where it gets its errno. */
	if (events & (EPOLLERR | EPOLLHUP))
		events |= WATCH_READ | WATCH_WRITE;
	w->on_event(w, (int)(events & (WATCH_READ | WATCH_WRITE | WATCH_ERROR | WATCH_HANGUP | WATCH_PEER_DONE)));
}

int watch_open_for(struct watch *w, struct loop *l, int fd, int events, void (*on_event)(struct watch *w, int events))
{
	struct epoll_event e = { .events = (uint32_t)events, .data.ptr = w };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return -errno;
	*w = (struct watch){ .loop = l, .on_event = on_event, .fd = fd, .events = events };
	list_init(&w->closing);
	return 0;
}

int watch_open(struct watch *w, struct loop *l, int fd, void (*on_event)(struct watch *w, int events))
{
	return watch_open_for(w, l, fd, WATCH_READ, on_event);
}

/* An empty set still reports errors, again and again: a watch that waits for nothing is taken out. */
static int operation(int from, int to)
{
	if (from == 0)
		return EPOLL_CTL_ADD;
	return to == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
}

void watch_set(struct watch *w, int events)
{
	struct epoll_event e = { .events = (uint32_t)events, .data.ptr = w };

	if (events == w->events || w->fd < 0)
		return;
	/* Only ENOMEM and ENOSPC (max_user_watches) are possible; then nothing was changed, and the next call tries again. */
	if (epoll_ctl(w->loop->epoll, operation(w->events, events), w->fd, &e) == 0)
		w->events = events;
}

void watch_again(struct watch *w)
{
	struct epoll_event e = { .events = (uint32_t)w->events, .data.ptr = w };

	/* It is watched with these very events, so nothing has to be allocated and nothing can fail. */
	if (w->fd >= 0 && w->events != 0)
		(void)epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &e);
}

int watch_release(struct watch *w, void (*on_closed)(struct watch *w))
{
	struct loop *l = w->loop;
	int fd = w->fd;

	if (fd < 0)
		return -EBADF;
	/* Explicitly, although it may be closed next: a child that is being spawned may hold a copy for a moment. */
	watch_set(w, 0);
	for (int i = 0; i < l->n_events; i++)
		if (l->events[i].data.ptr == w)
			l->events[i].data.ptr = NULL;
	w->fd = -1;
	w->on_closed = on_closed;
	list_append(&l->closing, &w->closing);
	return fd;
}

void watch_close(struct watch *w, void (*on_closed)(struct watch *w))
{
	int fd = watch_release(w, on_closed);

	if (fd >= 0)
		close(fd);
}
