/* The reference of all settings and events, made from the tables, in the formats of the files that are kept in the tree
 * (tools/gen/docs).  Cold; any thread. */
#pragma once

#include "conf/settings.h"

#include <stdio.h>

/* "a restart", "a reload"…: what it takes until a changed value holds. */
const char *reference_reload_text(enum settings_reload reload);

void reference_markdown(FILE *f);
/* A Lua file that returns a table, every setting commented out at its default. */
void reference_conf(FILE *f);
/* LuaCATS annotations for editors. */
void reference_lua(FILE *f);
/* The man page's sections on settings. */
void reference_man(FILE *f);
