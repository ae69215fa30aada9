/* Asks every reactor something and goes on when all have answered: their answers come in their threads, the
 * end in ours.
 *
 * `fanout_answered` is given to a reactor as done, with fanout_part(f, i) as ctx; when the last of them has
 * called it, fn(ctx) runs in the mailbox's loop and the fanout is freed.
 */
#pragma once

#include "loop/post.h"

struct fanout;

/* Expects `n` > 0 answers. */
struct fanout *fanout_new(struct mailbox *m, unsigned n, void (*fn)(void *ctx), void *ctx);
void *fanout_part(struct fanout *f, unsigned i);
void fanout_answered(void *part);
