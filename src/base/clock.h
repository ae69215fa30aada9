/* Time.  Monotonic everywhere but in logs and headers. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* Monotonic, read from the kernel. */
uint64_t clock_ns(void);
uint64_t clock_ms(void);
/* Wall clock: microseconds since 1970. */
uint64_t clock_wall_us(void);

/* "Sun, 22 Nov 2026 10:19:55 GMT" (RFC 9110 §5.6.7), 29 bytes, made anew at most once a second per thread. `now_ms` is
 * the caller's monotonic time, which spares a system call. */
struct str clock_http_date(uint64_t now_ms);
