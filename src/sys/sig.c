#include "sys/sig.h"

#include "base/bits.h"
#include "base/str.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Those that a faulty instruction raises in its own thread: blocking them would only hide where it was. */
static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };

static const int printed[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

#define NAME(sig) [sig] = #sig
static const char *const names[] = {
	NAME(SIGHUP),  NAME(SIGINT),    NAME(SIGQUIT), NAME(SIGILL),  NAME(SIGTRAP),   NAME(SIGABRT), NAME(SIGBUS),
	NAME(SIGFPE),  NAME(SIGKILL),   NAME(SIGUSR1), NAME(SIGSEGV), NAME(SIGUSR2),   NAME(SIGPIPE), NAME(SIGALRM),
	NAME(SIGTERM), NAME(SIGSTKFLT), NAME(SIGCHLD), NAME(SIGCONT), NAME(SIGSTOP),   NAME(SIGTSTP), NAME(SIGTTIN),
	NAME(SIGTTOU), NAME(SIGURG),    NAME(SIGXCPU), NAME(SIGXFSZ), NAME(SIGVTALRM), NAME(SIGPROF), NAME(SIGWINCH),
	NAME(SIGIO),   NAME(SIGPWR),    NAME(SIGSYS),
};
#undef NAME

/* What the crash printer says, made beforehand: a handler may not format. */
static char crash_head[96];

int sig_open(const int *signals)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;
	int fd, r;

	sigemptyset(&set);
	for (; *signals; signals++)
		if (sigaddset(&set, *signals) < 0)
			return -errno;
	/* A peer that has gone, or a file at its limit (ulimit -f), is an error of the write. */
	if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r == 0)
		return fd;
	close(fd);
	return -r;
}

int sig_next(int fd, int *sender)
{
	struct signalfd_siginfo info;
	ssize_t n;

	do
		n = read(fd, &info, sizeof info);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof info)
		return 0;
	if (sender)
		*sender = (int)info.ssi_pid;
	return (int)info.ssi_signo;
}

void sig_block_all(void)
{
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < LS_COUNT(faults); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void sig_let_end(int sig, bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

int sig_find(const char *name)
{
	size_t skip = strncmp(name, "SIG", 3) == 0 ? 3 : 0;

	for (size_t i = 1; i < LS_COUNT(names); i++)
		if (names[i] && strcmp(names[i] + 3, name + skip) == 0)
			return (int)i;
	return 0;
}

const char *sig_name(int sig)
{
	if (sig > 0 && (size_t)sig < LS_COUNT(names) && names[sig])
		return names[sig];
	return "an unnamed signal";
}

/* Async-signal-safe: appends what fits and returns the new length. */
static size_t append(char *out, size_t len, size_t cap, const char *text)
{
	while (*text && len < cap)
		out[len++] = *text++;
	return len;
}

static size_t append_hex(char *out, size_t len, size_t cap, uintptr_t n)
{
	char digits[2 * sizeof n + 1];
	char *at = digits + sizeof digits - 1;

	*at = '\0';
	do
		*--at = "0123456789abcdef"[n & 15];
	while ((n >>= 4) != 0);
	return append(out, len, cap, at);
}

/* The action is back to the default by SA_RESETHAND, and the signal raised again here arrives on return. */
static void print_crash(int sig, siginfo_t *info, void *context)
{
	char line[256];
	size_t cap = sizeof line - 1;
	size_t len = append(line, 0, cap, crash_head);

	(void)context;
	len = append(line, len, cap, sig_name(sig));
	if (info->si_code > 0 && sig != SIGABRT) {
		len = append(line, len, cap, " at address 0x");
		len = append_hex(line, len, cap, (uintptr_t)info->si_addr);
	}
	line[len++] = '\n';
	ssize_t n = write(STDERR_FILENO, line, len);

	(void)n; /* nobody is left to tell */
	raise(sig);
}

void sig_install_crash_printer(const char *role, int number)
{
	/* A stack overflow leaves no room on the thread's own stack. */
	static _Alignas(16) char alternate[64 * 1024];
	char slot[16] = "";
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
	struct sigaction action = {
		.sa_sigaction = print_crash,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND,
	};

	if (number >= 0)
		snprintf(slot, sizeof slot, "[%d]", number);
	snprintf(crash_head, sizeof crash_head, "error %.32s%s sig.c: this process dies by ", role, slot);
	sigfillset(&action.sa_mask);
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < LS_COUNT(printed); i++)
		sigaction(printed[i], &action, NULL);
}
