#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 8192, NOTE_MAX = 128, ROLE_MAX = 32 };

static const char *const level_names[] = { "error", "warn", "notice", "info", "debug" };

/* Relaxed: nothing else depends on when another thread sees a new level. */
static _Atomic int level_now = LOG_LEVEL_NOTICE;

/* Where lines go.  The lock keeps the descriptor open during a write; the kernel queues appends anyway. */
static struct {
	pthread_mutex_t lock;
	int fd;
	char path[PATH_MAX]; /* empty: fd is a standard descriptor */
	uint64_t lost;       /* lines since the last that was written */
	int lost_errno;
	bool torn; /* the last write ended inside a line */
} target = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO };

static _Thread_local struct {
	char role[ROLE_MAX];
	int number;
} identity = { "luaserv", -1 };

void log_identity(const char *role, int number)
{
	str_copy(str_from(role), identity.role, sizeof identity.role);
	identity.number = number;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&level_now, memory_order_relaxed);
}

/* 1 or 2, or -1 when `path` names a file. */
static int standard_fd(const char *path)
{
	if (!path || !path[0] || strcmp(path, "stderr") == 0)
		return STDERR_FILENO;
	return strcmp(path, "stdout") == 0 ? STDOUT_FILENO : -1;
}

static int open_file(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	if (fd < 0)
		return err_set(err, -errno, "cannot open the log file %s: %s", path, strerror(errno));
	return fd;
}

int log_open(const char *path, struct err *err)
{
	int fd = standard_fd(path);
	bool file = fd < 0;
	int old;

	if (file && strlen(path) >= sizeof target.path)
		return err_set(err, -ENAMETOOLONG, "the log file's path is over %d bytes long", PATH_MAX - 1);
	if (file)
		fd = open_file(path, err);
	if (fd < 0)
		return fd;

	pthread_mutex_lock(&target.lock);
	old = target.path[0] ? target.fd : -1;
	target.fd = fd;
	target.torn = false;
	str_copy(str_from(file ? path : ""), target.path, sizeof target.path);
	pthread_mutex_unlock(&target.lock);
	if (old >= 0)
		close(old);
	return 0;
}

int log_fd(void)
{
	int fd;

	pthread_mutex_lock(&target.lock);
	fd = target.fd;
	pthread_mutex_unlock(&target.lock);
	return fd;
}

int log_reopen(struct err *err)
{
	char path[PATH_MAX];

	pthread_mutex_lock(&target.lock);
	str_copy(str_from(target.path), path, sizeof path);
	pthread_mutex_unlock(&target.lock);
	return path[0] ? log_open(path, err) : 0;
}

/* A line under construction; what does not fit is cut. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
	size_t cap; /* less than the whole: the rest is kept for a note and the newline */
};

static void put_bytes(struct line *line, const char *p, size_t len)
{
	size_t n = LS_MIN(len, line->cap - line->len);

	memcpy(line->text + line->len, p, n);
	line->len += n;
}

static void LS_PRINTF(2, 3) put_format(struct line *line, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	put_bytes(line, text, strlen(text));
}

static void put_head(struct line *line, enum log_level level, const char *file)
{
	uint64_t us = clock_wall_us();
	time_t seconds = (time_t)(us / 1000000);
	unsigned ms = (unsigned)(us / 1000 % 1000);
	char when[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	put_format(line, "%s.%03uZ %s %s", when, ms, level_names[level], identity.role);
	if (identity.number >= 0)
		put_format(line, "[%d]", identity.number);
	put_format(line, " %s: ", file);
}

/* A tab behind inner newlines tells where the next record begins; those at the end go. */
static void put_message(struct line *line, struct str message)
{
	while (str_ends(message, LS_STR("\n")))
		message.len--;
	do {
		struct str part = str_split(&message, '\n');

		if (part.len)
			put_bytes(line, part.p, part.len);
		if (message.p)
			put_bytes(line, "\n\t", 2);
	} while (message.p);
}

static void put_end(struct line *line)
{
	line->cap = sizeof line->text - 1;
	if (target.lost)
		put_format(line, " (%" PRIu64 " lines before this one were lost: %s)", target.lost,
		           strerror(target.lost_errno));
	line->text[line->len++] = '\n';
}

/* For the person who started the server; those who read the log are told by the next line that gets there. */
static void tell_loss(void)
{
	char text[PATH_MAX + 256];
	int n = snprintf(text, sizeof text,
	                 "luaserv: the log file %s cannot be written: %s; lines are lost and counted until it can\n",
	                 target.path, strerror(target.lost_errno));

	if (write(STDERR_FILENO, text, LS_MIN((size_t)n, sizeof text - 1)) < 0)
		return; /* nobody is left to be told */
}

/* Holds the lock. */
static void emit(struct line *line)
{
	ssize_t n;

	put_end(line);
	do
		n = write(target.fd, line->text, line->len);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)line->len) {
		target.lost = 0;
		target.torn = false;
		return;
	}
	target.lost++;
	target.lost_errno = n < 0 ? errno : ENOSPC;
	target.torn = target.torn || n > 0;
	if (target.lost == 1 && target.path[0])
		tell_loss();
}

void log_line(enum log_level level, const char *file, const char *fmt, ...)
{
	char message[LINE_MAX_BYTES];
	struct line line;
	int saved = errno;
	va_list args;

	if (level > log_get_level())
		return;
	line.len = 0;
	line.cap = sizeof line.text - NOTE_MAX;
	va_start(args, fmt);
	vsnprintf(message, sizeof message, fmt, args);
	va_end(args);

	pthread_mutex_lock(&target.lock);
	if (target.torn)
		put_bytes(&line, "\n", 1);
	put_head(&line, level, file);
	put_message(&line, str_from(message));
	emit(&line);
	pthread_mutex_unlock(&target.lock);
	errno = saved;
}

bool log_every_due(struct log_every *every, uint64_t period_ms, uint64_t *swallowed)
{
	uint64_t now = clock_ms();

	if (now < every->next_ms) {
		every->swallowed++;
		return false;
	}
	*swallowed = every->swallowed;
	*every = (struct log_every){ .next_ms = now + period_ms };
	return true;
}
