/* t/unit/test_spawn.c — children are this program in a role, with the descriptors promised and nothing else. */
#include "sys/spawn.c"

#include "tap.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* What the child finds, told over its control socket. */
struct found {
	bool control_open, others_closed, signals_free, stdin_null, out_shared, session_leader;
	char title[32];
};

static bool same_file(int a, int b)
{
	char path[2][32], target[2][64] = { { 0 } };

	for (int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof path[i], "/proc/self/fd/%d", i ? b : a);
		if (readlink(path[i], target[i], sizeof target[i] - 1) < 0)
			return false;
	}
	return strcmp(target[0], target[1]) == 0;
}

static void look_around(struct found *f, const char *title)
{
	struct sigaction action;
	char target[32] = { 0 };
	sigset_t mask;

	f->others_closed = true;
	for (int fd = 4; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			f->others_closed = false;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigaction(SIGPIPE, NULL, &action);
	f->signals_free = !sigismember(&mask, SIGTERM) && action.sa_handler == SIG_DFL;
	f->stdin_null = readlink("/proc/self/fd/0", target, sizeof target - 1) > 0 && !strcmp(target, "/dev/null");
	f->out_shared = same_file(1, 2) && !same_file(0, 1);
	f->session_leader = getsid(0) == getpid();
	str_copy(str_from(title), f->title, sizeof f->title);
}

static int child_main(const char *title, const char *role)
{
	static struct found f;

	if (strcmp(role, "crash") == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	if (strcmp(role, "wait") == 0)
		pause();
	look_around(&f, title);
	f.control_open = true;
	return send(CONTROL_FD, &f, sizeof f, 0) == sizeof f ? 42 : 1;
}

static bool ended(const struct child *c)
{
	struct pollfd p = { .fd = c->pidfd, .events = POLLIN };

	return poll(&p, 1, 20000) == 1;
}

/* Starts the role and sees it end; the status text is in `text`. */
static void run(const struct spawn_opts *opts, char *text, size_t cap)
{
	struct child c = { .pidfd = -1 };
	struct err err = { 0 };
	int status = 0;

	str_copy(LS_STR("not started"), text, cap);
	if (spawn_role(opts, &c, &err) < 0 || !ended(&c))
		return;
	ok(spawn_reap(&c, &status) == 1 && spawn_reap(&c, &status) == -ECHILD, "reaped once");
	spawn_status_text(status, text, cap);
	fd_close(&c.pidfd);
}

/* `out_at` is the number the output descriptor has here, `control_at` the control socket's; -1: any. */
static void finds_what_was_promised(int control_at, int out_at)
{
	int pair[2], saved_control = -1, saved_out = -1, out;
	struct found f = { 0 };
	char text[64];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	out = open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (control_at >= 0) {
		saved_control = fcntl(control_at, F_DUPFD_CLOEXEC, 100);
		dup3(pair[1], control_at, O_CLOEXEC);
	}
	if (out_at >= 0) {
		saved_out = fcntl(out_at, F_DUPFD_CLOEXEC, 100);
		dup3(out, out_at, O_CLOEXEC);
	}
	run(&(struct spawn_opts){ .role = "worker",
	                          .title = "luaserv: worker 0",
	                          .out = out_at >= 0 ? out_at : out,
	                          .control = control_at >= 0 ? control_at : pair[1],
	                          .new_session = out_at >= 0 },
	    text, sizeof text);
	if (control_at >= 0)
		dup3(saved_control, control_at, O_CLOEXEC);
	if (out_at >= 0)
		dup3(saved_out, out_at, O_CLOEXEC);
	fd_close(&saved_control);
	fd_close(&saved_out);
	ok(strcmp(text, "exited with code 42") == 0, "control at %d, output at %d: %s", control_at, out_at, text);
	ok(recv(pair[0], &f, sizeof f, MSG_DONTWAIT) == sizeof f && f.control_open, "control is descriptor 3");
	ok(f.others_closed && f.stdin_null && f.out_shared, "0 is /dev/null, 1 and 2 the output, others closed");
	ok(f.signals_free, "signals are unblocked and default");
	ok(strcmp(f.title, "luaserv: worker 0") == 0 && f.session_leader == (out_at >= 0), "title and session");
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	fd_close(&out);
}

static void ends_are_told(void)
{
	struct spawn_opts opts = { .role = "crash", .title = "t", .control = 2, .out = 2 };
	struct child c;
	char text[64];
	int status = 0;

	run(&opts, text, sizeof text);
	ok(strncmp(text, "died by SIGABRT", 15) == 0, "%s", text);

	opts.role = "wait";
	ok(spawn_role(&opts, &c, NULL) == 0 && spawn_reap(&c, &status) == 0, "one that runs is not reaped");
	ok(spawn_signal(&c, SIGKILL) == 0 && ended(&c), "it is signalled through the pidfd");
	ok(spawn_reap(&c, &status) == 1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "and its end told");
	ok(spawn_signal(&c, SIGKILL) == -ESRCH, "nobody is signalled then");
	fd_close(&c.pidfd);
	ok(spawn_signal(&c, SIGKILL) == -ESRCH && spawn_reap(&c, &status) == -ECHILD, "nor without a pidfd");

	ok(strcmp(spawn_status_text(SIGSEGV | 0x80, text, sizeof text), "died by SIGSEGV (core dumped)") == 0, "%s",
	   text);
}

static void failures_are_sentences(void)
{
	struct spawn_opts opts = { .role = "worker", .title = "t", .control = 999, .out = 2 };
	struct err err = { 0 };
	struct child c;

	ok(spawn_role(&opts, &c, &err) == -EBADF && strstr(err.text, "cannot start a worker"), "%s", err.text);
}

int main(int argc, char **argv)
{
	sigset_t mask;

	if (argc == 3 && strcmp(argv[1], "--role") == 0)
		return child_main(argv[0], argv[2]);
	/* Whatever the test runner left open, children must not see. */
	for (int fd = 3; fd < 256; fd++)
		fd_set_cloexec(fd, true);
	setvbuf(stdout, NULL, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	sigfillset(&mask);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	finds_what_was_promised(-1, -1);
	finds_what_was_promised(3, -1);
	finds_what_was_promised(0, 3);
	finds_what_was_promised(3, 0);
	ends_are_told();
	failures_are_sentences();
	return tap_done();
}
