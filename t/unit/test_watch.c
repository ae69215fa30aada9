/* t/unit/test_watch.c — a descriptor's events: level-triggered, never stale, never after the close. */
#include "loop/watch.c"

#include "tap.h"

#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct loop loop;

struct counted {
	struct watch w;
	unsigned events;
	int last;
	struct counted *close_this; /* in the callback */
	bool closed;
};

static void on_closed(struct watch *w)
{
	LS_CONTAINER_OF(w, struct counted, w)->closed = true;
}

static void on_event(struct watch *w, int events)
{
	struct counted *c = LS_CONTAINER_OF(w, struct counted, w);

	c->events++;
	c->last = events;
	if (c->close_this && c->close_this->w.fd >= 0)
		watch_close(&c->close_this->w, on_closed);
}

static void make_pair(int fds[2])
{
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
}

static void open_counted(struct counted *c, int fd)
{
	*c = (struct counted){ 0 };
	watch_open(&c->w, &loop, fd, on_event);
}

static void turn(int n)
{
	while (n--)
		loop_turn(&loop, false);
}

static void is_level_triggered(void)
{
	struct counted c;
	int fds[2];
	char byte;

	make_pair(fds);
	open_counted(&c, fds[0]);
	turn(1);
	ok(c.events == 0, "nothing comes before it is asked for");
	watch_set(&c.w, WATCH_READ);
	(void)!write(fds[1], "x", 1);
	turn(3);
	ok(c.events == 3 && c.last == WATCH_READ, "readable as long as it is");
	(void)!read(fds[0], &byte, 1);
	turn(2);
	ok(c.events == 3, "and no longer");
	watch_set(&c.w, WATCH_READ | WATCH_WRITE);
	turn(1);
	ok(c.events == 4 && c.last == WATCH_WRITE, "writable when asked");
	watch_set(&c.w, 0);
	(void)!write(fds[1], "x", 1);
	turn(2);
	ok(c.events == 4, "nothing while it asks for nothing");
	watch_set(&c.w, WATCH_READ);
	turn(1);
	ok(c.events == 5, "what came meanwhile is not lost");
	watch_close(&c.w, on_closed);
	ok(!c.closed, "its memory is needed until the end of the turn");
	turn(1);
	ok(c.closed && fcntl(fds[0], F_GETFD) < 0, "then it is closed");
	watch_set(&c.w, WATCH_READ);
	watch_close(&c.w, on_closed);
	turn(1);
	ok(c.events == 5, "a closed watch takes no orders");
	close(fds[1]);
}

/* Both are ready in the same turn; whoever comes first closes the other. */
static void forgets_events_of_the_closed(void)
{
	struct counted a, b;
	int one[2], two[2];

	make_pair(one);
	make_pair(two);
	open_counted(&a, one[0]);
	open_counted(&b, two[0]);
	a.close_this = &b;
	b.close_this = &a;
	watch_set(&a.w, WATCH_READ);
	watch_set(&b.w, WATCH_READ);
	(void)!write(one[1], "x", 1);
	(void)!write(two[1], "x", 1);
	turn(1);
	ok(a.events + b.events == 1, "no event for a watch that another one's callback closed in this turn");
	ok(a.closed != b.closed, "it is closed");
	a.close_this = &a;
	b.close_this = &b;
	turn(1);
	ok(a.events + b.events == 2 && a.closed && b.closed, "a watch may close itself");
	close(one[1]);
	close(two[1]);
}

/* The kernel gives a new socket the number at once: events of the old one must not reach the new one's watch. */
static void survives_reuse_of_numbers(void)
{
	enum { ROUNDS = 2000 };
	unsigned stale = 0, missed = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct counted *old = xzalloc(sizeof *old), *fresh = xzalloc(sizeof *fresh);
		int fds[2], again[2];

		make_pair(fds);
		open_counted(old, fds[0]);
		watch_set(&old->w, WATCH_READ);
		(void)!write(fds[1], "x", 1);
		if (i % 2)
			turn(1);
		watch_close(&old->w, on_closed);
		make_pair(again);
		open_counted(fresh, again[0]);
		watch_set(&fresh->w, WATCH_READ);
		turn(1);
		stale += fresh->events;
		(void)!write(again[1], "x", 1);
		turn(1);
		missed += fresh->events != 1;
		watch_close(&fresh->w, on_closed);
		turn(1);
		missed += !old->closed || !fresh->closed;
		free(old);
		free(fresh);
		close(fds[1]);
		close(again[1]);
	}
	ok(stale == 0 && missed == 0, "%d reused descriptors: no event of the one before, none lost", ROUNDS);
}

/* libuv stops watching a descriptor that has an error; ours go on until somebody deals with it. */
static void tells_errors_until_dealt_with(void)
{
	struct counted c;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	(void)!pipe2(fds, O_NONBLOCK | O_CLOEXEC);
	fcntl(fds[1], F_SETPIPE_SZ, 4096);
	while (write(fds[1], "0123456789abcdef", 16) > 0)
		;
	open_counted(&c, fds[1]);
	watch_set(&c.w, WATCH_WRITE);
	turn(2);
	ok(c.events == 0, "a full pipe is not writable");
	close(fds[0]);
	turn(1);
	ok(c.events == 1 && c.last == (WATCH_READ | WATCH_WRITE | WATCH_ERROR),
	   "its broken end is told as an error, readable and writable");
	turn(2);
	ok(c.events == 3, "as long as it is watched");
	watch_set(&c.w, 0);
	turn(2);
	ok(c.events == 3, "and no longer");
	watch_close(&c.w, on_closed);
	turn(1);
}

static void gives_a_descriptor_back(void)
{
	struct counted c, again;
	int fds[2], fd;

	make_pair(fds);
	open_counted(&c, fds[0]);
	watch_set(&c.w, WATCH_READ);
	turn(1);
	fd = watch_release(&c.w, on_closed);
	ok(fd == fds[0] && watch_release(&c.w, NULL) == -EBADF, "the descriptor is handed out once");
	open_counted(&again, fd);
	watch_set(&again.w, WATCH_READ);
	(void)!write(fds[1], "x", 1);
	turn(1);
	ok(c.closed && c.events == 0 && again.events == 1, "and can be watched anew at once");
	watch_close(&again.w, on_closed);
	turn(1);
	close(fds[1]);
}

static void refuses_what_cannot_be_watched(void)
{
	struct watch w;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ok(watch_open(&w, &loop, fd, on_event) < 0, "a regular file cannot be watched");
	ok(fcntl(fd, F_GETFD) >= 0, "it stays the caller's");
	close(fd);
	ok(watch_open(&w, &loop, fd, on_event) < 0, "nor a closed one");
}

int main(void)
{
	loop_init(&loop);
	is_level_triggered();
	forgets_events_of_the_closed();
	survives_reuse_of_numbers();
	tells_errors_until_dealt_with();
	gives_a_descriptor_back();
	refuses_what_cannot_be_watched();
	loop_fini(&loop);
	return tap_done();
}
