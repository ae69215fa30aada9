/* The admin socket: a unix stream socket on which the command line asks one thing per connection, one JSON
 * line in, one out. Only the server's own user and root may ask. The master's main thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/watch.h"

#include <stdbool.h>
#include <stdint.h>

struct admin;

/* A request; `line` is lent.  Answered by one of the functions below, now or later. */
typedef void (*admin_request)(void *ctx, uint64_t id, struct str line);

/* Takes the listening socket `fd`.  NULL: it cannot be watched, the descriptor is closed. */
struct admin *admin_open(struct loop *l, int fd, admin_request on_request, void *ctx);
/* Clients that wait see the end of file. */
void admin_close(struct admin *a);

/* Answers; the client may have gone meanwhile.  `result` is JSON. */
void admin_answer(struct admin *a, uint64_t id, const char *result);
void admin_refuse(struct admin *a, uint64_t id, const char *text);
/* No answer: the client waits for the end of the server. */
void admin_hold(struct admin *a, uint64_t id);
