/* t/unit/test_ctl.c — control messages arrive whole with their descriptors; whatever breaks its row is refused. */
#include "ipc/ctl.c"

#include "sys/unixmsg.h"

#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int pair[2];

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void carries_everything(void)
{
	int fds[2];
	struct ctl_msg out = {
		.type = CTL_SPAWNED, .slot = 7, .generation = 1ULL << 40, .value = 4711, .extra = UINT64_MAX, .n_fds = 1
	};
	struct ctl_msg in = { 0 };
	char byte = 0;

	(void)!pipe(fds);
	out.fds[0] = fds[0];
	ok(ctl_send(pair[0], &out) == 0, "a message with a descriptor is sent");
	ok(ctl_recv(pair[1], CTL_ROLE_MANAGER, &in) == 1 && in.type == CTL_SPAWNED && in.slot == 7 &&
	           in.generation == 1ULL << 40 && in.value == 4711 && in.extra == UINT64_MAX && in.n_fds == 1,
	   "all of its numbers arrive");
	(void)!write(fds[1], "x", 1);
	ok(read(in.fds[0], &byte, 1) == 1 && byte == 'x', "its descriptor is the same pipe");
	ok(fcntl(in.fds[0], F_GETFD) & FD_CLOEXEC, "which no child inherits");

	int taken = ctl_take_fd(&in, 0);

	ctl_close_fds(&in);
	ok(fcntl(taken, F_GETFD) >= 0, "a descriptor that was taken is not closed");
	close(taken);
	close(fds[0]);
	close(fds[1]);
}

static void carries_text(void)
{
	char text[4096];
	struct ctl_msg out = { .type = CTL_FAILED, .text = str_make(text, sizeof text) };
	struct ctl_msg in;

	memset(text, 'e', sizeof text);
	ok(ctl_send(pair[0], &out) == 0 && ctl_recv(pair[1], CTL_ROLE_WORKER, &in) == 1 && str_eq(in.text, out.text),
	   "the longest text of a row arrives");
	out.text = str_take(out.text, 1);
	ok(ctl_send(pair[0], &out) == 0 && ctl_recv(pair[1], CTL_ROLE_WORKER, &in) == 1 && in.text.len == 1,
	   "and the shortest");
}

static bool refused(const struct ctl_msg *m, unsigned from)
{
	struct ctl_msg in;

	return ctl_send(pair[0], m) == 0 && ctl_recv(pair[1], from, &in) == -EPROTO;
}

static void refuses_what_breaks_its_row(void)
{
	int before = open_descriptors();
	static char text[4097];
	struct ctl_msg m = { .type = CTL_READY };

	memset(text, 'e', sizeof text);
	ok(refused(&m, CTL_ROLE_MANAGER), "a sender that may not");
	m.n_fds = 1;
	m.fds[0] = 0;
	ok(refused(&m, CTL_ROLE_WORKER), "a descriptor too many");
	m = (struct ctl_msg){ .type = CTL_SPAWNED };
	ok(refused(&m, CTL_ROLE_MANAGER), "a descriptor too few");
	m = (struct ctl_msg){ .type = CTL_FAILED, .text = str_make(text, sizeof text) };
	ok(refused(&m, CTL_ROLE_WORKER), "a text too long");
	m.text.len = 0;
	ok(refused(&m, CTL_ROLE_WORKER), "a text too short");
	m = (struct ctl_msg){ .type = CTL_TYPES };
	ok(refused(&m, CTL_ROLE_ANY), "a type that is none");
	m.type = CTL_NONE;
	ok(refused(&m, CTL_ROLE_ANY), "the type that stands for nothing");
	ok(open_descriptors() == before, "and closes what came with it");
}

static void refuses_raw_bytes(void)
{
	struct str bytes = LS_STR("short");
	struct ctl_msg in;

	ok(unixmsg_send(pair[0], &bytes, 1, NULL, 0) == 0 && ctl_recv(pair[1], CTL_ROLE_ANY, &in) == -EPROTO,
	   "bytes that are shorter than a head");
	ok(ctl_recv(pair[1], CTL_ROLE_ANY, &in) == -EAGAIN, "nothing there is -EAGAIN");
}

static void survives_random_bytes(void)
{
	uint64_t bytes[16];
	unsigned sound = 0;

	srand(5);
	for (int i = 0; i < 200000; i++) {
		struct ctl_msg m = { 0 };
		size_t len = (size_t)rand() % sizeof bytes;

		for (size_t k = 0; k < LS_COUNT(bytes); k++)
			bytes[k] = (uint64_t)rand() % (2 * CTL_TYPES);
		if (ctl_parse(str_make(bytes, len), rand() % 8, (unsigned)rand() % 32, &m) == 0)
			sound += m.type > CTL_NONE && m.type < CTL_TYPES && m.text.len <= len;
	}
	ok(sound > 0, "of 200000 random messages only sound ones pass");
}

static void knows_its_table(void)
{
	bool sane = true;

	for (unsigned i = CTL_NONE + 1; i < CTL_TYPES; i++)
		sane &= rows[i].senders && rows[i].most_fds <= CTL_FDS_MAX && rows[i].most_text <= CTL_TEXT_MAX &&
		        rows[i].least_fds <= rows[i].most_fds && rows[i].least_text <= rows[i].most_text;
	ok(sane, "every row has senders and bounds in order");
	ok(strcmp(ctl_name(CTL_READY), "READY") == 0 && strcmp(ctl_name(9999), "?") == 0, "types have names");
	ok(strlen(ctl_build_id()) <= rows[CTL_HELLO].most_text, "the build id fits its message");
}

static void ends(void)
{
	struct ctl_msg in;

	close(pair[0]);
	ok(ctl_recv(pair[1], CTL_ROLE_ANY, &in) == 0, "the end of the peer is the end of file");
	in = (struct ctl_msg){ .type = CTL_READY };
	ok(ctl_send(pair[1], &in) == -EPIPE, "sending to it is -EPIPE");
}

int main(void)
{
	if (unixmsg_pair(pair) < 0)
		return 1;
	carries_everything();
	carries_text();
	refuses_what_breaks_its_row();
	refuses_raw_bytes();
	survives_random_bytes();
	knows_its_table();
	ends();
	return tap_done();
}
