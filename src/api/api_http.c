#include "api/api_http.h"

#include "api/api_req.h"
#include "api/api_res.h"
#include "worker/runtime.h"

void api_http_push_json(lua_State *L, const char *name)
{
	if (luaL_loadstring(L, "return require('cjson.safe')") != 0)
		lua_error(L);
	lua_call(L, 0, 1);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
}

int api_http_open(lua_State *L)
{
	bind_register(L, api_req_kind());
	bind_register(L, api_res_kind());
	request_set_kinds(api_req_kind(), api_res_kind());
	lua_newtable(L);
	return 1;
}
