/* Groups of connections, as the app uses them: the reactors keep the members (reactor/groups.c). */
#pragma once

#include "base/slots.h"
#include "base/str.h"

#include <stdbool.h>

struct worker;

enum { GROUP_NAME_MAX = 255 };

/* The connection joins a group or leaves it; `name` has 1 to GROUP_NAME_MAX bytes.  0 or a code. */
int group_change(struct worker *w, conn_id id, struct str name, bool join);
/* Sends the bytes to every member but `except` (0: nobody is left out), through every reactor; `opcode` is for WebSockets.  0 or a
 * code. */
int group_publish(struct worker *w, struct str name, struct str bytes, unsigned opcode, conn_id except);
