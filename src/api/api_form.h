/* What a request's body and its lists of names and values are to Lua: built on first use, kept for the request's life. */
#pragma once

#include "worker/request.h"

#include "lua/sched.h"

/* So many pairs of a query, a form or a cookie are looked at. */
enum { PAIRS_MAX = 1000 };

/* Pushes what was kept under `key`; true: it was there, else nothing is pushed. */
bool api_form_cached(lua_State *L, struct request *r, const char *key);
/* Keeps the value on top, which stays. */
void api_form_remember(lua_State *L, struct request *r, const char *key);
/* Adds key = value to the table on top; a key that comes again makes a list. */
void api_form_add_pair(lua_State *L, struct str key, struct str value);
/* Pushes the pairs of application/x-www-form-urlencoded, as in queries and forms. */
void api_form_push_urlencoded(lua_State *L, struct str text);
/* Each pushes one value; `object` is the request.  The whole body of a buffered request; its form; its files. */
int api_form_push_body(lua_State *L, void *object);
int api_form_push(lua_State *L, void *object);
int api_form_push_files(lua_State *L, void *object);
