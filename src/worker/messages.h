/* Messages to and from other processes that run the app: server:send_message() and the pipe_message event.
 *
 * A message goes to a slot.  It waits here while no process of the slot is ready, and is kept until the receiver has begun its
 * handler: what a process that dies has not begun goes to its successor, in order.  What is kept for one slot is bounded
 * (message_queue_size), and so is what a receiver can be behind.
 */
#pragma once

#include "base/list.h"
#include "lua/pack.h"
#include "worker/colleague.h"

struct messages;

struct messages *messages_new(struct worker *w);
void messages_free(struct messages *m);
/* How many have been accepted for others and are not known to have been begun. */
size_t messages_pending(struct messages *m);

/* The whole server stops: those for processes that have gone, and get no successor, are given up. */
void messages_give_up(struct messages *m);

/* Whoever reads at the receiver: its pipe_message handler, or process:read(). */
enum message_to { MESSAGE_TO_HANDLER, MESSAGE_TO_READ };

/* `return` it from a C function: pushes true, or nil, message, code.  When the receiver is too far behind, the coroutine waits for up to
 * send_timeout; outside of coroutines it is an error. */
int messages_send(struct messages *m, lua_State *L, unsigned slot, const struct packed *value, enum message_to to,
                  const char *what);

/* process:read() has taken something. */
void messages_on_room(struct messages *m);

/* MESSAGE of a colleague. */
int messages_on_message(struct messages *m, struct colleague *c, const struct frame *f, struct str payload);
/* It has begun to take messages. */
void messages_on_ready(struct messages *m, struct colleague *c);
/* It has ended. */
void messages_on_gone(struct messages *m, struct colleague *c);
