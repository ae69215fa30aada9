/* Commands: questions from one process that runs the app to another, answered by the function that the app has given the name. */
#pragma once

#include "lua/pack.h"
#include "worker/colleague.h"

struct commands;

enum { COMMAND_NAME_MAX = 64 };

struct commands *commands_new(struct worker *w);
void commands_free(struct commands *c);
/* The function at `idx` answers to `name`, also after another one did. */
void commands_define(lua_State *L, const char *name, int idx);

/* `return` it from a C function that runs in a coroutine: waits, and gives the value, or nil, message, code. */
int commands_ask(struct commands *c, lua_State *L, unsigned slot, struct str name, const struct packed *data,
                 uint64_t timeout_ms);
/* Calls the function here: pushes the value, or nil, message, code. */
int commands_ask_self(lua_State *L, struct str name, int data_idx);

/* From colleagues. */
int commands_on_command(struct commands *c, struct colleague *from, const struct frame *f, struct str payload);
int commands_on_answer(struct commands *c, const struct colleague *from, const struct frame *f, struct str payload);
void commands_on_gone(struct commands *c, const struct colleague *gone, const char *how);
