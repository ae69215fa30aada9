/* t/unit/test_pack.c — plain Lua values survive the way to another process; others are refused by name; garbage is refused. */
#include "lua/pack.c"
#include "lua/unpack.c"

#include "tap.h"

#include <errno.h>

static lua_State *L;
static struct pack buffer;
static struct err err;

/* What the text makes of itself on the way: its one result is sent, and `check` is called with both. */
static const char *travel(const char *text, size_t max)
{
	static char out[1100];
	struct packed p;

	lua_settop(L, 0);
	if (luaL_dostring(L, text) != 0)
		return lua_tostring(L, -1);
	if (pack_value(&buffer, L, 1, "data", max, &p, &err) < 0)
		return err.text;
	if (lua_gettop(L) != 1 || pack_push(L, &p) < 0)
		return "cannot be read";
	lua_getglobal(L, "show");
	lua_pushvalue(L, 2);
	if (lua_pcall(L, 1, 1, 0) != 0)
		return lua_tostring(L, -1);
	snprintf(out, sizeof out, "%s", lua_tostring(L, -1));
	return out;
}

static const char show[] = "local function show(v)\n"
			   "  if type(v) == 'string' then return string.format('%q', v) end\n"
			   "  if v == 0 and 1 / v < 0 then return '-0' end\n"
			   "  if type(v) ~= 'table' then return tostring(v) end\n"
			   "  local keys, parts = {}, {}\n"
			   "  for k in pairs(v) do keys[#keys + 1] = k end\n"
			   "  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)\n"
			   "  for _, k in ipairs(keys) do parts[#parts + 1] = tostring(k) .. '=' .. show(v[k]) end\n"
			   "  return '{' .. table.concat(parts, ',') .. '}'\n"
			   "end\n"
			   "_G.show = show";

static void values(void)
{
	static const char *cases[][2] = {
		{ "return nil", "nil" },
		{ "return true", "true" },
		{ "return false", "false" },
		{ "return 1", "1" },
		{ "return -2147483648", "-2147483648" },
		{ "return 2^53", "9.007199254741e+15" },
		{ "return 0.5", "0.5" },
		{ "return -0.0", "-0" },
		{ "return 1/0", "inf" },
		{ "return ''", "\"\"" },
		{ "return 'a'", "\"a\"" },
		{ "return {}", "{}" },
		{ "return {1,2,3}", "{1=1,2=2,3=3}" },
		{ "return {1,nil,3}", "{1=1,3=3}" },
		{ "return {a={b={c='d'}}, [1]='x', [2.5]=true, [true]=false}",
		  "{1=\"x\",2.5=true,a={b={c=\"d\"}},true=false}" },
		{ "return {[0]='z','a'}", "{0=\"z\",1=\"a\"}" },
		{ "local t = {1} return {t, t}", "{1={1=1},2={1=1}}" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *got = travel(cases[i][0], 1 << 20);

		ok(strcmp(got, cases[i][1]) == 0, "%s: %s", cases[i][0], got);
	}
	ok(strlen(travel("return {('x'):rep(300)}", 400)) == strlen("{1=\"\"}") + 300, "a long string in a table");
	lua_pushlightuserdata(L, NULL);
	lua_setglobal(L, "null");
	ok(strstr(travel("return {null}", 100), "userdata: NULL") ||
	           strstr(travel("return {null}", 100), "userdata: (nil)"),
	   "cjson.null");
}

static void refusals(void)
{
	static const char *cases[][2] = {
		{ "return {user={fn=print}}", "data.user.fn is a function, which cannot be sent" },
		{ "return print", "data is a function" },
		{ "return {1,{2,coroutine.create(print)}}", "data[2][2] is a thread" },
		{ "return {[print]=1}", "data[function] is a function" },
		{ "return {[7.5]={io.stdout}}", "data[7.5][1] is a userdata" },
		{ "local t = {a={}} t.a.b = t return t", "data.a.b is a table that holds itself" },
		{ "local t = {} for i=1,200 do t = {t} end return t", "lies too deep" },
		{ "return {('x'):rep(2000)}", "data takes more than the 1000 bytes" },
		{ "return ('x'):rep(2000)", "data takes more than the 1000 bytes" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *got = travel(cases[i][0], 1000);

		ok(strstr(got, cases[i][1]), "%s: %s", cases[i][0], got);
		ok(lua_gettop(L) == 1, "the stack is as it was");
	}
}

/* Every cut and every changed byte of a sound image is refused or read as another value, and nothing is read beyond it. */
static bool is_value(struct str image)
{
	bool checked = pack_check(image) == 0;
	bool pushed = pack_push(L, &(struct packed){ image, PACK_VALUE }) == 0;

	if (checked != pushed)
		ok(false, "pack_check and pack_push differ");
	return pushed;
}

static void garbage(void)
{
	struct packed p;
	unsigned refused = 0, cuts = 0;

	lua_settop(L, 0);
	ok(luaL_dostring(L, "return {1,2,{'three',x=4.5},[true]='five',s=('y'):rep(300)}") == 0, "a table");
	ok(pack_value(&buffer, L, 1, "data", 10000, &p, &err) == 0 && is_value(p.bytes), "packed");
	lua_settop(L, 1);

	size_t len = p.bytes.len;
	char *exact;

	for (size_t cut = 0; cut < len; cut++) {
		exact = malloc(cut ? cut : 1); /* so that a sanitizer sees what is read behind it */
		memcpy(exact, p.bytes.p, cut);
		cuts += !is_value(str_make(exact, cut));
		free(exact);
	}
	ok(cuts == len, "no part of an image is a value");
	for (size_t i = 0; i < len; i++)
		for (int bit = 0; bit < 8; bit++) {
			exact = malloc(len);
			memcpy(exact, p.bytes.p, len);
			exact[i] = (char)(exact[i] ^ 1 << bit);
			refused += !is_value(str_make(exact, len));
			lua_settop(L, 1);
			free(exact);
		}
	ok(refused > 0, "%u changed images were refused", refused);
	ok(pack_push(L, &(struct packed){ p.bytes, PACK_FORMS }) == -EBADMSG, "an unknown form is refused");
	ok(lua_gettop(L) == 1, "and nothing is left on the stack");
}

int main(void)
{
	struct lua_limits limits = { 0 };

	L = state_new(&limits, (const struct lua_module[]){ { NULL, NULL } }, &err);
	if (!L || luaL_dostring(L, show) != 0) {
		printf("Bail out! %s\n", L ? lua_tostring(L, -1) : err.text);
		return 1;
	}
	values();
	refusals();
	garbage();
	pack_fini(&buffer);
	state_close(L);
	return tap_done();
}
