/* The tasks that this task worker was given: one runs at a time, the others wait in order; with task_enable_coroutine all run.
 *
 * Each is answered by results, the last of which ends it, or by a failure.  One whose asker has gone runs all the same: it was
 * accepted, and may be more than its result.
 */
#pragma once

#include "base/list.h"
#include "ipc/taskmsg.h"
#include "lua/pack.h"
#include "worker/colleague.h"

struct duties;
struct duty;

struct duties *duties_new(struct worker *w);
/* Those that have not ended are given up.  NULL is ignored. */
void duties_free(struct duties *d);
/* Waiting, running, or not wholly answered. */
size_t duties_count(const struct duties *d);
/* Of those, how many wait. */
size_t duties_waiting(const struct duties *d);

/* TASK of a colleague. */
int duties_on_task(struct duties *d, struct colleague *c, const struct frame *f, struct str payload);

/* One that came through the System V queue: `asker` NULL: no process of this server asked for it.  `data` is malloc'ed, or NULL, and
 * taken.  `failure`: it cannot be run, and is reported at once. */
void duties_take(struct duties *d, const struct taskmsg_asker *asker, enum pack_form form, char *data, size_t len,
                 const char *failure);
/* One more would be begun at once. */
bool duties_may_take(const struct duties *d);

/* The one that runs, where they run one after the other; NULL: none does. */
struct duty *duties_current(const struct duties *d);
/* The one with that key (duty_key()); NULL: it has ended. */
struct duty *duties_find(const struct duties *d, uint64_t key);
/* Where a handler runs a duty as an object of its own. */
uint64_t duty_key(const struct duty *t);
/* The number its asker knows it by, and the asker's slot; -1: it has no asker in this server. */
int64_t duty_id(const struct duty *t);
int duty_asker(const struct duty *t);
/* Pushes its data.  -EBADMSG: it is none. */
int duty_push_data(lua_State *L, const struct duty *t);
/* A result that is not the last.  0 or the code of why it cannot be sent. */
int duty_answer(struct duty *t, const struct packed *result);

/* Set by whoever shows duties to Lua: pushes the object that stands for one (task_enable_coroutine). */
void duties_show_by(struct duties *d, void (*push)(lua_State *L, struct duty *t));
