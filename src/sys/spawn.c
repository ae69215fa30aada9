#include "sys/spawn.h"

#include "base/str.h"
#include "sys/fd.h"
#include "sys/sig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONTROL_FD = 3, FIRST_FREE_FD = 4 };

/* The order matters: `control` may be 0-2 here, and so is copied away first; `out` is not 3. */
static int plan_files(posix_spawn_file_actions_t *files, int control, int out)
{
	int r = posix_spawn_file_actions_adddup2(files, control, CONTROL_FD);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(files, STDOUT_FILENO, STDERR_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
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

/* 0 or a positive errno, as posix_spawn() itself. */
static int start(const struct spawn_opts *opts, int out, pid_t *pid)
{
	char *argv[] = { (char *)(uintptr_t)opts->title, "--role", (char *)(uintptr_t)opts->role, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r;

	r = posix_spawn_file_actions_init(&files);
	if (r)
		return r;
	r = posix_spawnattr_init(&attr);
	if (r)
		goto out_files;
	r = plan_files(&files, opts->control, out);
	if (r == 0)
		r = plan_signals(&attr, opts->new_session);
	if (r == 0)
		r = posix_spawn(pid, "/proc/self/exe", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
out_files:
	posix_spawn_file_actions_destroy(&files);
	return r;
}

int spawn_role(const struct spawn_opts *opts, struct child *out, struct err *err)
{
	int moved = -1; /* descriptor 3 is taken before `out` is copied */
	int pidfd, r;
	pid_t pid;

	if (opts->out == CONTROL_FD) {
		moved = fcntl(opts->out, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
		if (moved < 0)
			return err_set(err, -errno, "cannot start a %s: %s", opts->role, strerror(errno));
	}
	r = start(opts, moved >= 0 ? moved : opts->out, &pid);
	fd_close(&moved);
	if (r)
		return err_set(err, -r, "cannot start a %s: %s", opts->role, strerror(r));

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		r = errno;
		/* Nobody could watch it.  The pid is not reused before it is reaped. */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err_set(err, -r, "cannot watch the new %s (killed): %s", opts->role, strerror(r));
	}
	*out = (struct child){ .pid = pid, .pidfd = pidfd };
	return 0;
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
