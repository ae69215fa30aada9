/* Futexes: sleeping on a 32-bit word of memory that other processes have mapped too. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while the word is `seen`, at most so long.  0: woken, or for no reason; -EAGAIN: it is not `seen`; -ETIMEDOUT;
 * -EINTR. */
int futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ms);
/* Wakes at most `n` of those who sleep on it. */
void futex_wake(_Atomic uint32_t *word, int n);
