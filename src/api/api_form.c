#include "api/api_form.h"

#include "base/codec.h"
#include "worker/runtime.h"
#include "worker/upload.h"

/* Pushes cache[key]; true: it was there. */
bool api_form_cached(lua_State *L, struct request *r, const char *key)
{
	if (r->cache == LUA_NOREF) {
		lua_createtable(L, 0, 4);
		r->cache = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->cache);
	lua_getfield(L, -1, key);
	lua_remove(L, -2);
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

/* Keeps the value on top, which stays. */
void api_form_remember(lua_State *L, struct request *r, const char *key)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->cache);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, key);
	lua_pop(L, 1);
}

/* Adds key = value to the table on top; a key that comes again makes a list. */
void api_form_add_pair(lua_State *L, struct str key, struct str value)
{
	lua_pushlstring(L, key.p, key.len);
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushlstring(L, value.p, value.len);
	} else if (lua_istable(L, -1)) {
		lua_pushlstring(L, value.p, value.len);
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	} else {
		lua_createtable(L, 2, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
		lua_pushlstring(L, value.p, value.len);
		lua_rawseti(L, -2, 2);
	}
	lua_rawset(L, -3);
}

/* application/x-www-form-urlencoded, as in queries and forms.  Pairs over the bound are not looked at. */
void api_form_push_urlencoded(lua_State *L, struct str text)
{
	char *room = lua_newuserdata(L, text.len + 1);
	unsigned n = 0;

	lua_newtable(L);
	for (struct str rest = text; rest.p && n < PAIRS_MAX;) {
		struct str pair = str_split(&rest, '&');
		ssize_t eq = str_chr(pair, '=');
		struct str key = eq < 0 ? pair : str_take(pair, (size_t)eq);
		struct str value = eq < 0 ? (struct str){ "", 0 } : str_skip(pair, (size_t)eq + 1);

		if (pair.len == 0)
			continue;

		size_t key_len = codec_url_decode(key, true, room);
		size_t value_len = codec_url_decode(value, true, room + key_len);

		api_form_add_pair(L, str_make(room, key_len), str_make(room + key_len, value_len));
		n++;
	}
	lua_remove(L, -2);
}

/* The whole body of a buffered request, as often as it is asked for. */
int api_form_push_body(lua_State *L, void *object)
{
	struct request *r = object;
	struct str body = r->body ? buf_str(r->body) : (struct str){ "", 0 };

	if (!api_form_cached(L, r, "body")) {
		lua_pushlstring(L, body.p, body.len);
		api_form_remember(L, r, "body");
	}
	return 1;
}

static void push_upload_fields(lua_State *L, const struct upload *u)
{
	lua_newtable(L);
	LS_LIST_EACH (it, upload_items(u)) {
		const struct upload_item *item = LS_CONTAINER_OF(it, struct upload_item, link);

		if (!item->filename.p)
			api_form_add_pair(L, item->name, item->value ? buf_str(item->value) : (struct str){ "", 0 });
	}
}

int api_form_push(lua_State *L, void *object)
{
	struct request *r = object;
	struct str type = http_head_find(&r->view, LS_STR("content-type"));
	struct str body = { 0 };

	if (api_form_cached(L, r, "form"))
		return 1;
	if (r->upload) {
		push_upload_fields(L, r->upload);
		api_form_remember(L, r, "form");
		return 1;
	}
	if (!str_starts(type, LS_STR("application/x-www-form-urlencoded")) || r->streaming) {
		lua_newtable(L);
	} else {
		api_form_push_body(L, r);
		body.p = lua_tolstring(L, -1, &body.len);
		api_form_push_urlencoded(L, body);
		lua_remove(L, -2);
	}
	api_form_remember(L, r, "form");
	return 1;
}

/* Swoole's: UPLOAD_ERR_OK and UPLOAD_ERR_NO_FILE of PHP. */
enum { UPLOAD_FINE = 0, UPLOAD_NO_FILE = 4 };

static void push_file(lua_State *L, const struct upload_item *item)
{
	lua_createtable(L, 0, 5);
	lua_pushlstring(L, item->filename.p, item->filename.len);
	lua_setfield(L, -2, "name");
	lua_pushlstring(L, item->type.p, item->type.len);
	lua_setfield(L, -2, "type");
	lua_pushnumber(L, (lua_Number)item->size);
	lua_setfield(L, -2, "size");
	lua_pushinteger(L, item->path ? UPLOAD_FINE : UPLOAD_NO_FILE);
	lua_setfield(L, -2, "error");
	if (item->path) {
		lua_pushstring(L, item->path);
		lua_setfield(L, -2, "tmp_name");
	}
}

/* The file on top goes into the table below it: the first of its name by itself, several as a list. */
static void add_file(lua_State *L, struct str name)
{
	int file = lua_gettop(L), files = file - 1;

	lua_pushlstring(L, name.p, name.len);
	lua_rawget(L, files);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushlstring(L, name.p, name.len);
		lua_insert(L, file);
		lua_rawset(L, files);
		return;
	}
	lua_rawgeti(L, -1, 1);
	if (lua_isnil(L, -1)) { /* one file so far, which becomes the first of a list */
		lua_pop(L, 1);
		lua_createtable(L, 2, 0);
		lua_insert(L, -2);
		lua_rawseti(L, -2, 1);
		lua_pushlstring(L, name.p, name.len);
		lua_pushvalue(L, -2);
		lua_rawset(L, files);
	} else {
		lua_pop(L, 1);
	}
	lua_pushvalue(L, file);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_settop(L, files);
}

int api_form_push_files(lua_State *L, void *object)
{
	struct request *r = object;

	if (api_form_cached(L, r, "files"))
		return 1;
	lua_newtable(L);
	if (r->upload)
		LS_LIST_EACH (it, upload_items(r->upload)) {
			const struct upload_item *item = LS_CONTAINER_OF(it, struct upload_item, link);

			if (!item->filename.p)
				continue;
			push_file(L, item);
			add_file(L, item->name);
		}
	api_form_remember(L, r, "files");
	return 1;
}
