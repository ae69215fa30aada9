#include "api/api_req.h"

#include "api/api_form.h"
#include "api/api_http.h"
#include "base/codec.h"
#include "base/mem.h"
#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct bind_kind kind;

static int push_str(lua_State *L, struct str s)
{
	if (!s.p)
		return 0;
	lua_pushlstring(L, s.p, s.len);
	return 1;
}

/* ---- tables made once per request ---------------------------------------------------------------------------------------------------- */

/* A repeated field is one field whose values are joined by commas (RFC 9110 §5.3), cookies by "; " (RFC 9113 §8.2.3);
 * Set-Cookie cannot be joined and is a list. */
static void add_header(lua_State *L, struct str name, struct str value)
{
	lua_pushlstring(L, name.p, name.len);
	lua_pushvalue(L, -1);
	lua_rawget(L, -3);
	if (str_eq(name, LS_STR("set-cookie"))) {
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			lua_newtable(L);
		}
		lua_pushlstring(L, value.p, value.len);
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	} else if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_pushlstring(L, value.p, value.len);
	} else {
		lua_pushstring(L, str_eq(name, LS_STR("cookie")) ? "; " : ", ");
		lua_pushlstring(L, value.p, value.len);
		lua_concat(L, 3);
	}
	lua_rawset(L, -3);
}

static int push_headers(lua_State *L, void *object)
{
	struct request *r = object;
	const struct http_view *v = &r->view;

	if (api_form_cached(L, r, "headers"))
		return 1;
	lua_createtable(L, 0, v->head->n_fields);
	for (unsigned i = 0; i < v->head->n_fields; i++)
		add_header(L, http_head_str(v, v->fields[i].name), http_head_str(v, v->fields[i].value));
	api_form_remember(L, r, "headers");
	return 1;
}

static int push_query(lua_State *L, void *object)
{
	struct request *r = object;
	if (!api_form_cached(L, r, "query")) {
		api_form_push_urlencoded(L, http_head_str(&r->view, r->view.head->query));
		api_form_remember(L, r, "query");
	}
	return 1;
}

static int push_cookies(lua_State *L, void *object)
{
	struct request *r = object;
	if (api_form_cached(L, r, "cookies"))
		return 1;
	lua_newtable(L);
	for (unsigned i = 0, n = 0; i < r->view.head->n_fields; i++) {
		if (!str_eq(http_head_str(&r->view, r->view.fields[i].name), LS_STR("cookie")))
			continue;
		for (struct str rest = http_head_str(&r->view, r->view.fields[i].value); rest.p && n < PAIRS_MAX; n++) {
			struct str pair = str_trim(str_split(&rest, ';'));
			ssize_t eq = str_chr(pair, '=');

			if (eq > 0)
				api_form_add_pair(L, str_take(pair, (size_t)eq), str_skip(pair, (size_t)eq + 1));
		}
	}
	api_form_remember(L, r, "cookies");
	return 1;
}

/* ---- req: fields -------------------------------------------------------------------------------------------------------------------------- */

static int push_path(lua_State *L, void *object)
{
	struct request *r = object;
	struct str path = http_head_str(&r->view, r->view.head->path);

	if (str_chr(path, '%') < 0)
		return push_str(L, path);

	char *room = lua_newuserdata(L, path.len);

	lua_pushlstring(L, room, codec_url_decode(path, false, room));
	lua_remove(L, -2);
	return 1;
}

/* Swoole's request_uri: the path as it was sent, without the query. */
static int push_raw_path(lua_State *L, void *object)
{
	struct request *r = object;
	return push_str(L, http_head_str(&r->view, r->view.head->path));
}

static int push_version(lua_State *L, void *object)
{
	struct request *r = object;
	lua_pushstring(L, r->view.head->version_minor ? "1.1" : "1.0");
	return 1;
}

static int push_method(lua_State *L, void *object)
{
	struct request *r = object;
	return push_str(L, http_head_str(&r->view, r->view.head->method_name));
}

static int push_target(lua_State *L, void *object)
{
	struct request *r = object;
	return push_str(L, http_head_str(&r->view, r->view.head->target));
}

static int push_query_string(lua_State *L, void *object)
{
	struct request *r = object;
	return push_str(L, http_head_str(&r->view, r->view.head->query));
}

static int push_host(lua_State *L, void *object)
{
	struct request *r = object;
	return push_str(L, http_head_find(&r->view, LS_STR("host")));
}

static int push_scheme(lua_State *L, void *object LS_UNUSED)
{
	lua_pushliteral(L, "http");
	return 1;
}

static int push_fd(lua_State *L, void *object)
{
	struct request *r = object;
	lua_pushnumber(L, (lua_Number)r->conn);
	return 1;
}

static int push_stream(lua_State *L, void *object)
{
	struct request *r = object;
	lua_pushnumber(L, r->stream);
	return 1;
}

static int push_remote_addr(lua_State *L, void *object)
{
	struct request *r = object;
	char text[SOCK_TEXT_MAX];

	lua_pushstring(L, sock_peer_text(&r->view.head->peer, text));
	return 1;
}

static int push_remote_port(lua_State *L, void *object)
{
	struct request *r = object;
	lua_pushinteger(L, r->view.head->peer.port);
	return 1;
}

static int push_request_time(lua_State *L, void *object)
{
	struct request *r = object;
	lua_pushnumber(L, (lua_Number)r->view.head->received_us / 1e6);
	return 1;
}

/* Swoole's $request->server. */
static int push_server(lua_State *L, void *object)
{
	struct request *r = object;
	static const struct bind_field fields[] = {
		{ "request_method", push_method },
		{ "request_uri", push_raw_path },
		{ "path_info", push_path },
		{ "query_string", push_query_string },
		{ "request_time_float", push_request_time },
		{ "remote_addr", push_remote_addr },
		{ "remote_port", push_remote_port },
	};

	if (api_form_cached(L, r, "server"))
		return 1;
	lua_createtable(L, 0, LS_COUNT(fields) + 3);
	for (unsigned i = 0; i < LS_COUNT(fields); i++)
		if (fields[i].push(L, r))
			lua_setfield(L, -2, fields[i].name);
	lua_pushstring(L, r->view.head->version_minor ? "HTTP/1.1" : "HTTP/1.0");
	lua_setfield(L, -2, "server_protocol");
	lua_pushnumber(L, (lua_Number)(r->view.head->received_us / 1000000));
	lua_setfield(L, -2, "request_time");
	lua_pushinteger(L, settings_port_number(r->port));
	lua_setfield(L, -2, "server_port");
	api_form_remember(L, r, "server");
	return 1;
}

static const struct bind_field req_fields[] = {
	{ "cookie", push_cookies },
	{ "cookies", push_cookies },
	{ "fd", push_fd },
	{ "files", api_form_push_files },
	{ "form", api_form_push },
	{ "get", push_query },
	{ "headers", push_headers },
	{ "host", push_host },
	{ "method", push_method },
	{ "path", push_path },
	{ "post", api_form_push },
	{ "query", push_query },
	{ "query_string", push_query_string },
	{ "remote_addr", push_remote_addr },
	{ "remote_port", push_remote_port },
	{ "request_time", push_request_time },
	{ "scheme", push_scheme },
	{ "server", push_server },
	{ "stream", push_stream },
	{ "target", push_target },
	{ "version", push_version },
	{ NULL, NULL },
};

/* ---- req: methods ---------------------------------------------------------------------------------------------------------------------------- */

static int req_header(lua_State *L)
{
	struct request *r = bind_self(L);
	struct str name = { 0 };
	unsigned seen = 0;

	name.p = lua_tolstring(L, 2, &name.len);
	for (unsigned i = 0; i < r->view.head->n_fields; i++)
		seen += str_ieq(http_head_str(&r->view, r->view.fields[i].name), name);
	if (seen == 0) {
		lua_pushnil(L);
		return 1;
	}
	if (seen == 1)
		return push_str(L, http_head_find(&r->view, name));
	push_headers(L, r);
	lua_pushvalue(L, 2);
	lua_gettable(L, -2);
	return 1;
}

static int req_body(lua_State *L)
{
	struct request *r = bind_self(L);

	return r->streaming ? request_read(r, L, 0) : api_form_push_body(L, r);
}

enum { PIECE = 65536 };

static int read_piece(lua_State *L, struct request *r, lua_Number max)
{
	/* Reading eats; body() of a buffered request gives all of it all the same. */
	if (!r->streaming) {
		api_form_push_body(L, r);
		lua_pop(L, 1);
	}
	return request_read(r, L, (uint64_t)max);
}

static int req_read(lua_State *L)
{
	lua_Number max = luaL_optnumber(L, 2, PIECE);

	if (max < 1)
		return state_error(L, "bad argument #1 to 'req:read' (at least 1 byte expected)");
	return read_piece(L, bind_self(L), max);
}

/* (req, last piece) -> next piece: what `for` calls. */
static int next_chunk(lua_State *L)
{
	return read_piece(L, bind_check(L, 1, &kind), PIECE);
}

static int req_chunks(lua_State *L)
{
	lua_pushcfunction(L, next_chunk);
	lua_pushvalue(L, 1);
	return 2;
}

static int req_json(lua_State *L)
{
	struct request *r = bind_self(L);

	if (r->streaming)
		return bind_fail(L, CODE_WRONG_OPERATION, "this port streams bodies; decode what req:body() returns");
	api_http_push_json(L, "decode");
	api_form_push_body(L, r);
	lua_call(L, 1, 2);
	return 2;
}

static const struct bind_row req_methods[] = {
	{ "header", req_header, "s", LUA_ROLE_WORKER, "header(name) -> string | nil: any case." },
	{ "body", req_body, "", LUA_ROLE_WORKER | BIND_WAITS,
	  "body() -> string | nil, message, code: the whole body; waits for it where bodies are streamed." },
	{ "read", req_read, "i?", LUA_ROLE_WORKER | BIND_WAITS,
	  "read(n = 65536) -> string | nil: the next up to n bytes; nil at the end." },
	{ "chunks", req_chunks, "", LUA_ROLE_WORKER, "chunks() -> iterator: for chunk in req:chunks() do … end" },
	{ "json", req_json, "", LUA_ROLE_WORKER, "json() -> value | nil, message: the body decoded." },
	{ "raw_content", req_body, "", LUA_ROLE_WORKER | BIND_WAITS, "raw_content(): body()." },
	{ "get_content", req_body, "", LUA_ROLE_WORKER | BIND_WAITS, "get_content(): body()." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind kind = {
	.name = "req",
	.methods = req_methods,
	.fields = req_fields,
	.versioned = true,
};

const struct bind_kind *api_req_kind(void)
{
	return &kind;
}
