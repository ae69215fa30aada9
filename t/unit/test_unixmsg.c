/* t/unit/test_unixmsg.c — messages arrive whole with their descriptors, or not at all and nothing leaks. */
#include "sys/unixmsg.c"

#include "tap.h"

#include <fcntl.h>
#include <unistd.h>

static int pair[2];

/* How many descriptors are open below 1024. */
static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void bytes_travel(void)
{
	const struct str parts[] = { LS_STR("head "), LS_STR(""), LS_STR("body") };
	char buf[64];
	int n_fds = 0;

	ok(unixmsg_recv(pair[1], buf, sizeof buf, NULL, NULL) == -EAGAIN, "nothing yet");
	ok(unixmsg_send(pair[0], parts, 3, NULL, 0) == 0, "parts are sent");
	ok(unixmsg_recv(pair[1], buf, sizeof buf, NULL, &n_fds) == 9 && memcmp(buf, "head body", 9) == 0, "as one");
	ok(unixmsg_send(pair[0], parts + 1, 1, NULL, 0) == -EINVAL, "an empty message would look like the end");
	ok(unixmsg_send(pair[0], parts, PARTS_MAX + 1, NULL, 0) == -EINVAL, "too many parts");
}

static void descriptors_travel(void)
{
	const struct str part = LS_STR("fds");
	int pipes[2], fds[4], n_fds = 4, before;
	char buf[8], c = 0;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return;
	before = open_fds();
	ok(unixmsg_send(pair[0], &part, 1, pipes, 2) == 0 && open_fds() == before, "the sender keeps its own");
	ok(unixmsg_recv(pair[1], buf, sizeof buf, fds, &n_fds) == 3 && n_fds == 2, "two came");
	ok(fcntl(fds[0], F_GETFD) & FD_CLOEXEC, "close-on-exec");
	ok(write(fds[1], "x", 1) == 1 && read(pipes[0], &c, 1) == 1 && c == 'x', "they are the same pipe");
	for (int i = 0; i < 2; i++) {
		fd_close(&fds[i]);
		fd_close(&pipes[i]);
	}
}

static void many_descriptors(void)
{
	const struct str part = LS_STR("m");
	int fds[UNIXMSG_FDS_MAX], n_fds = UNIXMSG_FDS_MAX, before = open_fds();
	char buf[8];

	for (int i = 0; i < UNIXMSG_FDS_MAX; i++)
		fds[i] = STDOUT_FILENO;
	ok(unixmsg_send(pair[0], &part, 1, fds, UNIXMSG_FDS_MAX + 1) == -EINVAL, "one too many is refused");
	ok(unixmsg_send(pair[0], &part, 1, fds, UNIXMSG_FDS_MAX) == 0, "as many as allowed are sent");
	ok(unixmsg_recv(pair[1], buf, sizeof buf, fds, &n_fds) == 1 && n_fds == UNIXMSG_FDS_MAX, "and come");
	for (int i = 0; i < n_fds; i++)
		fd_close(&fds[i]);
	ok(open_fds() == before, "nothing is left open");
}

static void refused_messages_leak_nothing(void)
{
	const struct str part = LS_STR("0123456789");
	int mine[3] = { 0, 1, 2 }, fds[3], n_fds = 2, before = open_fds();
	char buf[16];

	unixmsg_send(pair[0], &part, 1, mine, 3);
	ok(unixmsg_recv(pair[1], buf, sizeof buf, fds, &n_fds) == -EMSGSIZE && n_fds == 2, "no room for a descriptor");
	unixmsg_send(pair[0], &part, 1, mine, 1);
	ok(unixmsg_recv(pair[1], buf, 4, fds, &n_fds) == -EMSGSIZE, "no room for the bytes");
	unixmsg_send(pair[0], &part, 1, mine, 1);
	ok(unixmsg_recv(pair[1], buf, sizeof buf, NULL, NULL) == -EMSGSIZE, "descriptors that nobody asked for");
	ok(open_fds() == before, "all of them are closed");
	ok(unixmsg_recv(pair[1], buf, sizeof buf, NULL, NULL) == -EAGAIN, "and the messages gone");
}

static void full_and_gone(void)
{
	static char text[1000];
	const struct str part = str_make(text, sizeof text);
	char buf[2000];
	int sent = 0, r, n_fds = 0;

	while ((r = unixmsg_send(pair[0], &part, 1, NULL, 0)) == 0)
		sent++;
	ok(r == -EAGAIN && sent > 10, "a full socket takes no more (%d)", sent);
	fd_close(&pair[0]);
	while (unixmsg_recv(pair[1], buf, sizeof buf, NULL, &n_fds) > 0)
		sent--;
	ok(sent == 0, "what was sent arrives though the sender is gone");
	ok(unixmsg_recv(pair[1], buf, sizeof buf, NULL, &n_fds) == 0, "then comes the end");
	ok(unixmsg_send(pair[1], &part, 1, NULL, 0) == -EPIPE, "and sending fails without a signal");
	fd_close(&pair[1]);
}

static void datagrams(void)
{
	const struct str part = LS_STR("task");
	int fds[2], got[1], n_fds = 1;
	char buf[8];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return;
	ok(unixmsg_send(fds[0], &part, 1, &fds[0], 1) == 0, "a datagram takes descriptors too");
	ok(unixmsg_recv(fds[1], buf, sizeof buf, got, &n_fds) == 4 && n_fds == 1, "and they come");
	fd_close(&got[0]);
	fd_close(&fds[0]);
	fd_close(&fds[1]);
}

int main(void)
{
	ok(unixmsg_pair(pair) == 0, "a pair");
	bytes_travel();
	descriptors_travel();
	many_descriptors();
	refused_messages_leak_nothing();
	full_and_gone();
	datagrams();
	return tap_done();
}
