/* The module luaserv.core.shared: luaserv.table, dict, atomic and lock, which all processes of a server see; and what these four
 * have in common. */
#pragma once

#include "ipc/segment.h"
#include "lua/bind.h"

int api_shared_open(lua_State *L);

/* What a declaration asks for. */
struct api_shared {
	const char *what; /* "luaserv.dict" */
	const char *name;
	const char *shape;
	uint64_t bytes;
};

/* Pushes the handle of that name.  Declares it while the script is evaluated, else looks its memory up.  Where the state has no
 * such handle yet, returns a new object of `size` zero bytes whose first member, a struct segment, is open; it is the caller's to
 * fill, before anything may raise.  NULL: the handle is there already.  Raises (LJMP). */
void *api_shared_push(lua_State *L, const struct api_shared *s, const struct bind_kind *kind, size_t size);
/* `collect` of the kinds. */
void api_shared_collect(void *object);

/* Something that may have to be waited for. */
struct api_shared_wait {
	const char *what;
	void *object; /* kept by its handle for as long as the state lives */
	int way;
	/* Takes it if it can be had: 0 or positive; -EAGAIN: not now; others: never. */
	int (*try)(void *object, int way);
	/* The same, sleeping; -ETIMEDOUT. */
	int (*sleep)(void *object, int way, uint64_t timeout_ms);
	/* Around the tries of a coroutine that waits; NULL: nothing. */
	int (*begin)(void *object, int way);
	void (*end)(void *object, int way);
	/* Pushes what the function returns. */
	int (*push)(lua_State *L, void *object, int result);
};

/* `return api_shared_wait(...)`: parks the coroutine, or sleeps where nothing can be parked. */
int api_shared_wait(lua_State *L, const struct api_shared_wait *w, int timeout_idx);

int api_atomic_new(lua_State *L);
int api_dict_new(lua_State *L);
int api_lock_new(lua_State *L);
int api_table_new(lua_State *L);
void api_atomic_register(lua_State *L);
void api_dict_register(lua_State *L);
void api_lock_register(lua_State *L);
void api_table_register(lua_State *L);
/* Pushes an atomic of the runtime's own, whose name begins with "luaserv:"; while the script is evaluated it is declared. */
void api_atomic_push_hidden(lua_State *L, const char *name);
