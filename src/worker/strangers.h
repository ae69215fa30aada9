/* What comes from processes that this one has not been told of yet.
 *
 * A task worker that takes a task from the System V queue knows its asker, but the master's word of the new task worker may still
 * be on its way to the asker: it comes by another socket.  Until then what the task worker says of the task is kept.
 */
#pragma once

#include "ipc/frame.h"

struct strangers;
struct worker;

struct strangers *strangers_new(struct worker *w);
void strangers_free(struct strangers *s);
/* False: its sender has gone, or the frame is none of those. */
bool strangers_keep(struct strangers *s, unsigned slot, uint64_t generation, const struct frame *f, struct str payload);
/* The process is known now: what was kept is handled. */
void strangers_meet(struct strangers *s, unsigned slot, uint64_t generation);
/* Whether a process with that generation may still become known. */
bool strangers_may_come(const struct strangers *s, uint64_t generation);
