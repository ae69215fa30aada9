#include "sys/spawn.h"

#include "base/str.h"
#include "sys/fd.h"
#include "sys/sig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTROL_FD = 3, FIRST_FREE_FD = 4 };

/* What becomes the child's descriptors 0 to 3. */
struct files {
	int in; /* -1: /dev/null */
	int out;
	int err;
	int control;
};

/* The order matters: `control` may be 0-2 here, and so is copied away first; the others are not 3. */
static int plan_files(posix_spawn_file_actions_t *actions, const struct files *f)
{
	int r = posix_spawn_file_actions_adddup2(actions, f->control, CONTROL_FD);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, f->out, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, f->err, STDERR_FILENO);
	if (r == 0 && f->in < 0)
		r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	else if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, f->in, STDIN_FILENO);
	return r;
}

static int plan_signals(posix_spawnattr_t *attr, bool new_session)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t all, none;
	int r;

	sigfillset(&all);
	sigemptyset(&none);
	if (new_session)
		flags |= POSIX_SPAWN_SETSID;
	r = posix_spawnattr_setsigmask(attr, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(attr, flags);
	return r;
}

/* This program again.  0 or a positive errno, as posix_spawn() itself. */
static int start(char *const *argv, char *const *env, const struct files *f, bool new_session, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return r;
	r = posix_spawnattr_init(&attr);
	if (r)
		goto out_files;
	r = plan_files(&actions, f);
	if (r == 0)
		r = plan_signals(&attr, new_session);
	if (r == 0)
		r = posix_spawn(pid, "/proc/self/exe", &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
out_files:
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* 0 or negative errno: then nobody could watch the child, and it was killed. */
static int watch_child(pid_t pid, struct child *out)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int r = errno;

	if (pidfd < 0) {
		/* The pid is not reused before it is reaped. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -r;
	}
	*out = (struct child){ .pid = pid, .pidfd = pidfd };
	return 0;
}

int spawn_role(const struct spawn_opts *opts, struct child *out, struct err *err)
{
	char *argv[] = { (char *)(uintptr_t)opts->title, "--role", (char *)(uintptr_t)opts->role, NULL };
	struct files files = { -1, opts->out, opts->out, opts->control };
	int moved = -1; /* descriptor 3 is taken before `out` is copied */
	pid_t pid;
	int r;

	if (opts->out == CONTROL_FD) {
		moved = fcntl(opts->out, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
		if (moved < 0)
			return err_set(err, -errno, "cannot start a %s: %s", opts->role, strerror(errno));
		files.out = files.err = moved;
	}
	r = start(argv, environ, &files, opts->new_session, &pid);
	fd_close(&moved);
	if (r)
		return err_set(err, -r, "cannot start a %s: %s", opts->role, strerror(r));
	r = watch_child(pid, out);
	if (r < 0)
		return err_set(err, r, "cannot watch the new %s (killed): %s", opts->role, strerror(-r));
	return 0;
}

int spawn_program(const struct spawn_program_opts *o, struct child *out)
{
	const struct files files = { o->in_out, o->in_out, o->err, o->control };
	char parent[16];
	char **argv = calloc(o->n_args + SPAWN_PROGRAM_ARGS + 1, sizeof *argv);
	pid_t pid;
	int r;

	if (!argv)
		return -ENOMEM;
	snprintf(parent, sizeof parent, "%d", o->survives ? 0 : (int)getpid());
	argv[0] = "luaserv: program";
	argv[1] = "--role";
	argv[2] = "program";
	argv[3] = parent;
	argv[4] = (char *)(uintptr_t)o->directory;
	for (size_t i = 0; i < o->n_args; i++)
		argv[SPAWN_PROGRAM_ARGS + i] = (char *)(uintptr_t)o->args[i];
	r = start(argv, o->env ? o->env : environ, &files, o->survives, &pid);
	free(argv);
	return r ? -r : watch_child(pid, out);
}

int spawn_signal(const struct child *child, int sig)
{
	if (child->pidfd < 0)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, child->pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

/* As waitpid() packs it. */
static int packed_status(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		return (info->si_status & 0xff) << 8;
	return info->si_status | (info->si_code == CLD_DUMPED ? 0x80 : 0);
}

int spawn_reap(struct child *child, int *status)
{
	siginfo_t info = { 0 };
	int r;

	if (child->pidfd < 0)
		return -ECHILD;
	do
		r = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (info.si_pid == 0)
		return 0;
	*status = packed_status(&info);
	return 1;
}

const char *spawn_status_text(int status, char *out, size_t cap)
{
	if (WIFEXITED(status))
		snprintf(out, cap, "exited with code %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		snprintf(out, cap, "died by %s%s", sig_name(WTERMSIG(status)),
		         WCOREDUMP(status) ? " (core dumped)" : "");
	else
		snprintf(out, cap, "ended with status 0x%x", (unsigned)status);
	return out;
}
