#include "lua/image.h"

#include "lua/image_format.h"
#include "lua/state.h"
#include "sys/fd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOURCE_MAX = 64 << 20 };

/* Where `require`, `loadfile` and `dofile` look; a userdata of the state. */
struct source {
	const struct image *image;     /* NULL: the disk */
	struct image_builder *builder; /* NULL: nobody records */
	char cwd[PATH_MAX];            /* at start, which is what relative names mean */
};

/* ---- paths --------------------------------------------------------------------------------------------------------- */

/* Appends "/part", or drops the last part for "..".  False: no room. */
static bool add_part(char *out, size_t *len, size_t cap, struct str part)
{
	if (part.len == 0 || str_eq(part, LS_STR(".")))
		return true;
	if (str_eq(part, LS_STR(".."))) {
		while (*len && out[--*len] != '/')
			;
		return true;
	}
	if (*len + 1 + part.len + 1 > cap)
		return false;
	out[(*len)++] = '/';
	memcpy(out + *len, part.p, part.len);
	*len += part.len;
	return true;
}

bool image_absolute(const char *base, const char *path, char *out, size_t cap)
{
	struct str sides[2] = { str_from(path[0] == '/' ? "" : base), str_from(path) };
	size_t len = 0;

	for (int i = 0; i < 2; i++) {
		struct str rest = sides[i];

		while (rest.p)
			if (!add_part(out, &len, cap, str_split(&rest, '/')))
				return false;
	}
	if (len == 0)
		out[len++] = '/';
	out[len] = 0;
	return true;
}

/* ---- the frozen image ---------------------------------------------------------------------------------------------- */

static struct str path_of(const struct image *im, uint32_t i)
{
	const struct image_entry *e = (const struct image_entry *)im->index + i;

	return str_make((const char *)im->map.p + e->path, e->path_len);
}

static int compare(struct str a, struct str b)
{
	int c = memcmp(a.p, b.p, LS_MIN(a.len, b.len));

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* `len` bytes and a NUL lie behind the index and inside. */
static bool is_inside(const struct image *im, uint64_t at, uint64_t len)
{
	uint64_t first = sizeof(struct image_header) + im->files * sizeof(struct image_entry);

	return at >= first && at < im->map.size && len < im->map.size - at && ((const char *)im->map.p)[at + len] == 0;
}

/* The segment is sealed, so that what is checked here stays so. */
static bool is_sound(struct image *im)
{
	const struct image_header *h = im->map.p;

	if (im->map.size < sizeof *h || memcmp(h->magic, IMAGE_MAGIC, sizeof h->magic) != 0 || h->size > im->map.size)
		return false;
	if (h->files > IMAGE_FILES_MAX || im->map.size - sizeof *h < h->files * sizeof(struct image_entry))
		return false;
	im->files = h->files;
	im->index = h + 1;
	for (uint32_t i = 0; i < im->files; i++) {
		const struct image_entry *e = (const struct image_entry *)im->index + i;

		if (!is_inside(im, e->path, e->path_len) || !is_inside(im, e->data, e->data_len))
			return false;
		if (i > 0 && compare(path_of(im, i - 1), path_of(im, i)) >= 0)
			return false;
	}
	return true;
}

int image_open(struct image *im, int fd, struct err *err)
{
	struct image made = { 0 };
	int r;

	if (!shm_is_sealed(fd, true))
		return err_set(err, -EPERM, "the app image is not sealed");
	r = shm_map(fd, false, &made.map);
	if (r < 0)
		return err_set(err, r, "the app image cannot be mapped: %s", strerror(-r));
	if (!is_sound(&made)) {
		shm_unmap(&made.map);
		return err_set(err, -EBADMSG, "the app image is damaged");
	}
	*im = made;
	return 0;
}

void image_close(struct image *im)
{
	if (im->map.p)
		shm_unmap(&im->map);
	*im = (struct image){ 0 };
}

struct str image_find(const struct image *im, const char *path)
{
	struct str wanted = str_from(path);
	uint32_t low = 0;
	uint32_t high = im->files;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int c = compare(path_of(im, middle), wanted);

		if (c == 0) {
			const struct image_entry *e = (const struct image_entry *)im->index + middle;

			return str_make((const char *)im->map.p + e->data, e->data_len);
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return str_make(NULL, 0);
}

/* ---- loading ------------------------------------------------------------------------------------------------------- */

/* Leaves the function, or the message. */
static int load_text(lua_State *L, struct str text, const char *path)
{
	int status;

	lua_pushfstring(L, "@%s", path);
	status = luaL_loadbuffer(L, text.p, text.len, lua_tostring(L, -1));
	lua_remove(L, -2);
	return status ? -EINVAL : 0;
}

static int load_disk(lua_State *L, const char *path)
{
	struct err err;
	char *text;
	ssize_t len = fd_read_file(path, SOURCE_MAX, &text, &err);

	if (len < 0) {
		lua_pushstring(L, err.text);
		return (int)len;
	}

	int r = load_text(L, str_make(text, (size_t)len), path);

	free(text);
	return r;
}

/* From the builder, so that what runs now is what is frozen. */
static int load_recorded(lua_State *L, struct image_builder *b, const char *path)
{
	struct err err;
	int r = image_builder_add(b, path, &err);

	if (r < 0) {
		lua_pushstring(L, err.text);
		return r;
	}
	return load_text(L, image_builder_find(b, path), path);
}

int image_load(lua_State *L, const struct image *im, const char *path, struct err *err)
{
	struct str text = im ? image_find(im, path) : str_make(NULL, 0);
	int r;

	if (im && !text.p)
		return err_set(err, -ENOENT, "%s is not in the app image", path);
	r = im ? load_text(L, text, path) : load_disk(L, path);
	if (r < 0) {
		err_set(err, r, "%s", lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return r;
}

/* ---- what Lua calls ------------------------------------------------------------------------------------------------ */

/* 0: the function is on the stack; else the message. */
static int load_here(lua_State *L, const struct source *src, const char *path, bool from_image)
{
	if (from_image) {
		struct str text = image_find(src->image, path);

		if (text.p)
			return load_text(L, text, path);
		lua_pushfstring(L, "%s is not in the app image", path);
		return -ENOENT;
	}
	if (src->builder)
		return load_recorded(L, src->builder, path);
	return load_disk(L, path);
}

/* With the module's name as a path at `name_at`: tries each template; 1: the loader is on the stack. */
static int try_templates(lua_State *L, const struct source *src, int name_at, bool from_image)
{
	struct str rest = str_from(lua_tostring(L, name_at + 1));

	while (rest.p) {
		struct str template = str_split(&rest, ';');
		char path[PATH_MAX];

		if (template.len == 0)
			continue;
		lua_pushlstring(L, template.p, template.len);
		luaL_gsub(L, lua_tostring(L, -1), "?", lua_tostring(L, name_at));
		if (!image_absolute(src->cwd, lua_tostring(L, -1), path, sizeof path)) {
			lua_pop(L, 2);
			continue;
		}
		lua_pop(L, 2);

		bool exists = from_image ? image_find(src->image, path).p != NULL : access(path, R_OK) == 0;

		if (!exists) {
			if (!from_image) {
				lua_pushfstring(L, "\n\tno file '%s'", path);
				lua_concat(L, 2);
			}
			continue;
		}
		if (load_here(L, src, path, from_image) == 0)
			return 1;
		return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", lua_tostring(L, 1), path,
		                  lua_tostring(L, -1));
	}
	return 0;
}

/* package.loaders[2].  Upvalues: the source, the package table. */
static int search(lua_State *L)
{
	const struct source *src = lua_touserdata(L, lua_upvalueindex(1));
	const char *name = luaL_checkstring(L, 1);

	luaL_gsub(L, name, ".", "/");
	lua_getfield(L, lua_upvalueindex(2), "path");
	if (!lua_isstring(L, -1))
		return luaL_error(L, "package.path must be a string");
	lua_pushliteral(L, "");

	int name_at = lua_gettop(L) - 2;

	if (src->image && try_templates(L, src, name_at, true))
		return 1;
	try_templates(L, src, name_at, false);
	return 1;
}

/* loadfile(name, mode, env) -> function | nil, message.  Upvalue: the source. */
static int load_file(lua_State *L)
{
	const struct source *src = lua_touserdata(L, lua_upvalueindex(1));
	bool has_env = lua_gettop(L) >= 3;
	char path[PATH_MAX];

	if (lua_isnoneornil(L, 1))
		return luaL_error(L, "loadfile and dofile need the name of a file: a server has no standard input");
	if (!image_absolute(src->cwd, luaL_checkstring(L, 1), path, sizeof path))
		return luaL_error(L, "the path is too long");
	lua_settop(L, 3);

	bool from_image = src->image && image_find(src->image, path).p;

	if (load_here(L, src, path, from_image) < 0) {
		lua_pushnil(L);
		lua_insert(L, -2);
		return 2;
	}
	if (has_env) {
		lua_pushvalue(L, 3);
		lua_setfenv(L, -2);
	}
	return 1;
}

/* In Lua, so that server:start() in such a file can end the script; a C function could not be yielded across. */
static const char dofile_chunk[] = "local loadfile = ...\n"
				   "return function(name)\n"
				   "\tlocal fn, message = loadfile(name)\n"
				   "\tif not fn then error(message, 0) end\n"
				   "\treturn fn()\n"
				   "end";

static void put_in_front(lua_State *L, int package, const char *field, const char *templates)
{
	lua_pushstring(L, templates);
	lua_getfield(L, package, field);
	lua_concat(L, 2);
	lua_setfield(L, package, field);
}

void image_install(lua_State *L, const struct image *im, struct image_builder *builder, const char *directory)
{
	int top = lua_gettop(L);
	int source = top + 1;
	int package = top + 2;
	struct source *src = lua_newuserdata(L, sizeof *src);

	*src = (struct source){ .image = im, .builder = builder };
	if (!getcwd(src->cwd, sizeof src->cwd))
		str_copy(LS_STR("/"), src->cwd, sizeof src->cwd);
	lua_getglobal(L, "package");

	lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;", directory, directory);
	put_in_front(L, package, "path", lua_tostring(L, -1));
	lua_pushfstring(L, "%s/?.so;", directory);
	put_in_front(L, package, "cpath", lua_tostring(L, -1));

	lua_getfield(L, package, "loaders");
	lua_pushvalue(L, source);
	lua_pushvalue(L, package);
	lua_pushcclosure(L, search, 2);
	lua_rawseti(L, -2, 2);

	lua_pushvalue(L, source);
	lua_pushcclosure(L, load_file, 1);
	lua_setglobal(L, "loadfile");
	if (luaL_loadbuffer(L, dofile_chunk, sizeof dofile_chunk - 1, "=luaserv") != 0)
		lua_error(L);
	lua_getglobal(L, "loadfile");
	lua_call(L, 1, 1);
	lua_setglobal(L, "dofile");
	lua_settop(L, top);
}
