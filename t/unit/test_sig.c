/* t/unit/test_sig.c — signals are read, not handled; a crash says one line and still is a crash. */
#include "sys/sig.c"

#include "tap.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void signals_are_read(void)
{
	static const int wanted[] = { SIGTERM, SIGUSR1, 0 };
	int fd = sig_open(wanted), sender = 0, first, second;

	ok(fd >= 0 && sig_next(fd, NULL) == 0, "none pending");
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGUSR1);
	first = sig_next(fd, &sender);
	second = sig_next(fd, NULL);
	ok(first + second == SIGTERM + SIGUSR1 && first != second && sender == getpid(), "both, with the sender");
	ok(sig_next(fd, NULL) == 0, "and no more");
	raise(SIGPIPE);
	ok(true, "SIGPIPE is ignored");
	close(fd);
	ok(sig_open((const int[]){ 9999, 0 }) == -EINVAL, "no such signal");
}

static void names_of_signals(void)
{
	ok(strcmp(sig_name(SIGTERM), "SIGTERM") == 0 && strcmp(sig_name(SIGCHLD), "SIGCHLD") == 0, "names");
	ok(sig_name(0) == sig_name(-1) && sig_name(64) == sig_name(1000), "others have none");
}

static void nearly_all_are_blocked(void)
{
	sigset_t old, now;

	pthread_sigmask(SIG_SETMASK, NULL, &old);
	sig_block_all();
	pthread_sigmask(SIG_SETMASK, NULL, &now);
	ok(sigismember(&now, SIGTERM) && sigismember(&now, SIGCHLD) && sigismember(&now, SIGPROF), "blocked");
	ok(!sigismember(&now, SIGSEGV) && !sigismember(&now, SIGABRT), "but for those of a fault");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void by_abort(void)
{
	abort();
}

static void by_fault(void)
{
	/* Not a plain load: UBSan would see it first. */
	raise(SIGSEGV);
}

static volatile bool deeper = true;

static void by_overflow(void)
{
	volatile char room[4096];

	room[0] = 1;
	if (deeper)
		by_overflow();
	room[1] = room[0];
}

/* Runs `crash` in a child; its standard error is in `out`, its wait status returned. */
static int crash_in_child(void (*crash)(void), char *out, size_t cap)
{
	int fds[2], status = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(fds) < 0)
		return -1;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };

		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fds[1], STDERR_FILENO);
		sig_install_crash_printer("worker", 3);
		crash();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], out + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(fds[0]);
	waitpid(pid, &status, 0);
	return status;
}

static void crashes_are_told(void)
{
	char out[512];
	int status = crash_in_child(by_abort, out, sizeof out);

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "abort() still aborts");
	ok(strcmp(out, "error worker[3] sig.c: this process dies by SIGABRT\n") == 0, "%.60s", out);
	status = crash_in_child(by_fault, out, sizeof out);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV && strstr(out, "dies by SIGSEGV"), "SIGSEGV still kills");
	status = crash_in_child(by_overflow, out, sizeof out);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "so does a stack overflow");
	ok(strstr(out, "SIGSEGV at address 0x") && strchr(out, '\n') == strrchr(out, '\n'), "and says one line");
}

int main(void)
{
	signals_are_read();
	names_of_signals();
	nearly_all_are_blocked();
	crashes_are_told();
	return tap_done();
}
