/* The error log: one line, one write(2), to a descriptor opened O_APPEND.
 *
 *   2026-11-22T10:19:55.123Z warn worker[3] slot.c: worker 3 died by SIGSEGV; starting it again in 200 ms
 *
 * Levels from the worst: error, warn, notice, info, debug.  Floors 0-4 log nothing above debug; whoever handles an
 * error for good logs it, once.  Text that came from outside is escaped by the caller (str_escape()).
 * All threads may log; a line that fails to be written is counted and its number told by the next that succeeds.
 */
#pragma once

#include "base/bits.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Who is speaking: "master", "reactor", "manager", "worker", "eval" and its number; -1: no number.  Per thread. */
void log_identity(const char *role, int number);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* Opens `path` (made absolute by the caller) for appending; NULL or "" or "stderr": descriptor 2, "stdout": 1.
 * On failure the old target stays. */
int log_open(const char *path, struct err *err);
/* The descriptor lines go to, for handing to children as fd 1 and 2. */
int log_fd(void);
/* Opens the same path again, for rotation. */
int log_reopen(struct err *err);

void log_line(enum log_level level, const char *file, const char *fmt, ...) LS_PRINTF(3, 4);

/* Bytes of a text of several lines (a traceback) are written as one record with inner lines indented. */

/* State of a repeating condition: at most one line per period, with the count of those swallowed. */
struct log_every {
	uint64_t next_ms;
	uint64_t swallowed;
};

/* True: log now, and say that `*swallowed` were not logged.  Period in milliseconds. */
bool log_every_due(struct log_every *every, uint64_t period_ms, uint64_t *swallowed);

#define LS_FILE (__builtin_strrchr(__FILE__, '/') ? __builtin_strrchr(__FILE__, '/') + 1 : __FILE__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, LS_FILE, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, LS_FILE, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, LS_FILE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, LS_FILE, __VA_ARGS__)
/* Arguments are not evaluated when debug is off. */
#define log_debug(...) \
	do { \
		if (log_get_level() >= LOG_LEVEL_DEBUG) \
			log_line(LOG_LEVEL_DEBUG, LS_FILE, __VA_ARGS__); \
	} while (0)
