/* Rows of the server object about tasks: task, task_wait, task_wait_multi, task_co, finish. */
#pragma once

#include <lua.h>

int api_task_give(lua_State *L);
int api_task_wait(lua_State *L);
int api_task_wait_multi(lua_State *L);
int api_task_co(lua_State *L);
int api_task_finish(lua_State *L);

/* Makes the kind of the objects that handlers of task_enable_coroutine get. */
void api_task_open(lua_State *L);
