#include "api/api_res.h"

#include "api/api_http.h"
#include "base/mem.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

static struct request *check_open(lua_State *L, const char *method)
{
	struct request *r = bind_self(L);

	if (r->finished && !r->aborted)
		state_error(L, "res:%s: the response is finished", method);
	return r;
}

static void refuse_late(lua_State *L, const char *method)
{
	state_error(L, "res:%s: the head of the response has already been sent", method);
}

static int res_status(lua_State *L)
{
	struct request *r = check_open(L, "status");
	struct str reason = { "", 0 };
	lua_Number status = lua_tonumber(L, 2);

	if (!lua_isnoneornil(L, 3))
		reason.p = lua_tolstring(L, 3, &reason.len);

	int code = status < 100 || status > 599 ? -EINVAL : response_status(r, (int)status, reason);

	if (code == -EALREADY)
		refuse_late(L, "status");
	if (code < 0)
		state_error(
			L,
			"res:status: %.14g is not a status of a response (200 to 599, and 101 for a handshake), or its reason has a line end",
			status);
	lua_settop(L, 1);
	return 1;
}

/* Raises what putting a field failed with. */
static void check_put(lua_State *L, int code, struct str name, const char *method)
{
	if (code == -EALREADY)
		refuse_late(L, method);
	if (code == -EPERM)
		state_error(L, "res:%s: %s says how to read the message, so it belongs in its head: res:header", method,
		            name.p);
	if (code == -E2BIG)
		state_error(
			L, "res:%s: more than %d fields, or more bytes of them than half a piece of a ring (ring_size)",
			method, RESPONSE_FIELDS_MAX);
	if (code < 0)
		state_error(L, "res:%s: \"%s\" is not a field name, or its value has a CR, LF or NUL", method, name.p);
}

static void add_field(lua_State *L, struct request *r, struct str name, int value, bool add, const char *method)
{
	struct str text = { 0 };

	text.p = lua_tolstring(L, value, &text.len);
	if (!text.p)
		state_error(L, "res:%s: a value of %s is a %s, not a string", method, name.p, luaL_typename(L, value));

	check_put(L, response_field(r, name, text, add), name, method);
}

static int res_header(lua_State *L)
{
	struct request *r = check_open(L, "header");
	struct str name = { 0 };

	name.p = lua_tolstring(L, 2, &name.len);
	if (!lua_istable(L, 3)) {
		add_field(L, r, name, 3, false, "header");
		lua_settop(L, 1);
		return 1;
	}
	for (int i = 1, n = (int)lua_objlen(L, 3); i <= n; i++) {
		lua_rawgeti(L, 3, i);
		add_field(L, r, name, lua_gettop(L), i > 1, "header");
		lua_pop(L, 1);
	}
	lua_settop(L, 1);
	return 1;
}

static int res_trailer(lua_State *L)
{
	struct request *r = check_open(L, "trailer");
	struct str name = { 0 }, value = { 0 };

	name.p = lua_tolstring(L, 2, &name.len);
	value.p = lua_tolstring(L, 3, &value.len);
	check_put(L, response_trailer(r, name, value), name, "trailer");
	lua_settop(L, 1);
	return 1;
}

/* Pushes the text of an attribute, or nil: it is not there, or false.  `*on`: it is true, and has no value. */
static const char *push_attribute(lua_State *L, const char *key, bool *on)
{
	const char *text = NULL;

	lua_getfield(L, 2, key);
	*on = lua_isboolean(L, -1) && lua_toboolean(L, -1);
	if (lua_isstring(L, -1))
		text = lua_tostring(L, -1);
	if (text && strpbrk(text, ";\r\n"))
		state_error(L, "res:cookie: %s has a character that an attribute cannot hold", key);
	return text;
}

static void add_attribute(lua_State *L, luaL_Buffer *b, const char *key, const char *name)
{
	bool on;
	const char *text = push_attribute(L, key, &on);

	if (text) {
		lua_pushfstring(L, "%s=%s", name, text);
		lua_remove(L, -2);
		luaL_addvalue(b);
		return;
	}
	lua_pop(L, 1);
	if (on)
		luaL_addstring(b, name);
}

static bool attribute_is(lua_State *L, const char *key, const char *const *values)
{
	bool on, found = false;
	const char *text = push_attribute(L, key, &on);

	for (; text && *values; values++)
		found |= str_ieq(str_from(text), str_from(*values));
	lua_pop(L, 1);
	return found || (!text && !on);
}

static bool attribute_is_on(lua_State *L, const char *key)
{
	bool on;

	(void)push_attribute(L, key, &on);
	lua_pop(L, 1);
	return on;
}

/* What browsers would throw away without a word (draft-ietf-httpbis-rfc6265bis §4.1.2, §5.7). */
static void check_cookie(lua_State *L, const char *name)
{
	static const char *const same_site[] = { "Strict", "Lax", "None", NULL }, *const none[] = { "None", NULL };
	static const char *const priority[] = { "Low", "Medium", "High", NULL }, *const root[] = { "/", NULL };
	bool secure = attribute_is_on(L, "secure"), host_only;

	if (!attribute_is(L, "same_site", same_site))
		state_error(L, "res:cookie: same_site is Strict, Lax or None");
	if (!attribute_is(L, "priority", priority))
		state_error(L, "res:cookie: priority is Low, Medium or High");
	lua_getfield(L, 2, "same_site");
	if (!lua_isnil(L, -1) && attribute_is(L, "same_site", none) && !secure)
		state_error(L, "res:cookie: same_site None needs secure");
	lua_getfield(L, 2, "domain");
	lua_getfield(L, 2, "path");
	host_only = lua_isnil(L, -2) && !lua_isnil(L, -1) && attribute_is(L, "path", root);
	lua_pop(L, 3);
	if (attribute_is_on(L, "partitioned") && !secure)
		state_error(L, "res:cookie: partitioned needs secure");
	if (str_starts(str_from(name), LS_STR("__Secure-")) && !secure)
		state_error(L, "res:cookie: a name that begins with __Secure- needs secure");
	if (str_starts(str_from(name), LS_STR("__Host-")) && !(secure && host_only))
		state_error(L, "res:cookie: a name that begins with __Host- needs secure, path = \"/\" and no domain");
}

/* cookie{ name =, value =, path =, domain =, max_age =, expires =, same_site =, secure =, http_only =, priority =, partitioned = }
 * (RFC 6265 §4.1) */
static int res_cookie(lua_State *L)
{
	static const struct {
		const char *key;
		const char *name;
	} attributes[] = {
		{ "path", "; Path" },          { "domain", "; Domain" },      { "max_age", "; Max-Age" },
		{ "expires", "; Expires" },    { "same_site", "; SameSite" }, { "secure", "; Secure" },
		{ "http_only", "; HttpOnly" }, { "priority", "; Priority" },  { "partitioned", "; Partitioned" },
	};
	struct request *r = check_open(L, "cookie");
	luaL_Buffer b;

	lua_getfield(L, 2, "name");
	lua_getfield(L, 2, "value");
	if (!lua_isstring(L, 3) || (!lua_isnil(L, 4) && !lua_isstring(L, 4)))
		state_error(L, "res:cookie: name and value are strings");
	if (strpbrk(lua_tostring(L, 3), "=;, \t\r\n\"") || (lua_isstring(L, 4) && strpbrk(lua_tostring(L, 4), ";\r\n")))
		state_error(L, "res:cookie: name or value has a character that a cookie cannot hold; encode it");
	check_cookie(L, lua_tostring(L, 3));
	luaL_buffinit(L, &b);
	lua_pushfstring(L, "%s=%s", lua_tostring(L, 3), lua_isstring(L, 4) ? lua_tostring(L, 4) : "");
	luaL_addvalue(&b);
	for (unsigned i = 0; i < LS_COUNT(attributes); i++)
		add_attribute(L, &b, attributes[i].key, attributes[i].name);
	luaL_pushresult(&b);
	add_field(L, r, LS_STR("set-cookie"), lua_gettop(L), true, "cookie");
	lua_settop(L, 1);
	return 1;
}

static int res_write(lua_State *L)
{
	return response_send(check_open(L, "write"), L, 2, false, "res:write");
}

static int res_finish(lua_State *L)
{
	return response_send(check_open(L, "finish"), L, lua_isnoneornil(L, 2) ? 0 : 2, true, "res:finish");
}

static int res_sendfile(lua_State *L)
{
	struct request *r = check_open(L, "sendfile");
	lua_Number offset = luaL_optnumber(L, 3, 0);
	lua_Number length = luaL_optnumber(L, 4, 0);

	if (offset < 0 || length < 0)
		state_error(L, "res:sendfile: offset and length are not negative");

	/* The reactor opens it, whose working directory need not be ours. */
	char *path = realpath(lua_tostring(L, 2), NULL);

	if (!path)
		return bind_fail(L, CODE_FILE_NOT_FOUND, "%s: %s", lua_tostring(L, 2), strerror(errno));

	int code = response_file(r, path, (uint64_t)offset, (uint64_t)length);

	free(path);
	if (code)
		return bind_fail(L, code, "%s: %s", lua_tostring(L, 2), codes_text(code));
	lua_pushboolean(L, 1);
	return 1;
}

static int res_redirect(lua_State *L)
{
	struct request *r = check_open(L, "redirect");

	add_field(L, r, LS_STR("location"), 2, false, "redirect");
	if (response_status(r, (int)luaL_optinteger(L, 3, 302), (struct str){ "", 0 }) < 0)
		state_error(L, "res:redirect: %d is not a status of a redirection", (int)lua_tointeger(L, 3));
	return response_send(r, L, 0, true, "res:redirect");
}

static int res_json(lua_State *L)
{
	struct request *r = check_open(L, "json");

	api_http_push_json(L, "encode");
	lua_pushvalue(L, 2);
	lua_call(L, 1, 2);
	if (!lua_isstring(L, -2))
		return state_error(L, "res:json: %s", lua_tostring(L, -1));
	lua_pop(L, 1);
	if (response_field(r, LS_STR("content-type"), LS_STR("application/json"), false) == -EALREADY)
		refuse_late(L, "json");
	return response_send(r, L, lua_gettop(L), true, "res:json");
}

static int res_detach(lua_State *L)
{
	struct request *r = check_open(L, "detach");

	r->detached = true;
	lua_settop(L, 1);
	return 1;
}

static int res_is_writable(lua_State *L)
{
	const struct request *r = bind_self(L);

	lua_pushboolean(L, !r->finished && !r->aborted);
	return 1;
}

static const struct bind_row res_methods[] = {
	{ "status", res_status, "is?", LUA_ROLE_WORKER, "status(code, reason) -> res" },
	{ "header", res_header, "sa", LUA_ROLE_WORKER, "header(name, value | list) -> res: replaces." },
	{ "trailer", res_trailer, "ss", LUA_ROLE_WORKER,
	  "trailer(name, value) -> res: a field that follows the body, which is then sent in chunks." },
	{ "cookie", res_cookie, "t", LUA_ROLE_WORKER,
	  "cookie{ name, value, path, domain, max_age, expires, same_site, secure, http_only, priority, partitioned } -> res: raises for what "
	  "browsers would not keep." },
	{ "write", res_write, "S", LUA_ROLE_WORKER,
	  "write(chunk) -> true | nil, message, code: a part of the body; waits while the client is slow." },
	{ "finish", res_finish, "S?", LUA_ROLE_WORKER,
	  "finish(body) -> true | nil, message, code: the body, or its last part." },
	{ "sendfile", res_sendfile, "si?i?", LUA_ROLE_WORKER,
	  "sendfile(path, offset = 0, length = 0) -> true | nil, message, code: the body from a file; 0: to its end." },
	{ "redirect", res_redirect, "si?", LUA_ROLE_WORKER, "redirect(url, code = 302) -> true" },
	{ "json", res_json, "a", LUA_ROLE_WORKER, "json(value) -> true | nil, message, code" },
	{ "is_writable", res_is_writable, "", LUA_ROLE_WORKER,
	  "is_writable() -> boolean: an answer can still be sent." },
	{ "detach", res_detach, "", LUA_ROLE_WORKER,
	  "detach() -> res: the handler's end does not finish the response." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind kind = {
	.name = "res",
	.methods = res_methods,
	.versioned = true,
};

const struct bind_kind *api_res_kind(void)
{
	return &kind;
}
