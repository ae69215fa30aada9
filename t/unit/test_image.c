/* t/unit/test_image.c — images hold what they should, refuse what is damaged, and come before the disk. */
#include "lua/image.c"

#include "tap.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { HOSTILE_ROUNDS = 3000 };

static char folder[] = "/tmp/luaserv-image-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	if (!f) {
		printf("Bail out! %s: %s\n", path, strerror(errno));
		exit(1);
	}
	fputs(text, f);
	fclose(f);
}

static const char *in_folder(const char *name)
{
	static char path[4][PATH_MAX];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], PATH_MAX, "%s/%s", folder, name);
	return path[turn];
}

static void make_folder(void)
{
	if (!mkdtemp(folder))
		exit(1);
	mkdir(in_folder("lib"), 0700);
	mkdir(in_folder("lib/deep"), 0700);
	mkdir(in_folder(".git"), 0700);
	mkdir(in_folder("views"), 0700);
	mkdir(in_folder("views/parts"), 0700);
	write_file("app.lua", "return require 'lib.one'");
	write_file("lib/one.lua", "return { name = 'one', file = debug.getinfo(1, 'S').source, where = ... }");
	write_file("lib/deep/init.lua", "return 'deep'");
	write_file("lib/broken.lua", "return return");
	write_file("notes.txt", "no Lua");
	write_file(".git/hidden.lua", "return 1");
	write_file("views/a.html", "<a>");
	write_file("views/parts/b.html", "<b>");
	write_file("plain.lua", "value = (value or 0) + 1 return ..., value");
	write_file("script.lua", "#!/usr/bin/env luaserv\nreturn 'ran'");
	if (symlink("..", in_folder("lib/loop")) < 0 || symlink("../plain.lua", in_folder("lib/link.lua")) < 0)
		printf("# no symbolic links here\n");
}

static void makes_paths_absolute(void)
{
	static const struct {
		const char *base, *path, *result;
	} cases[] = {
		{ "/a/b", "c.lua", "/a/b/c.lua" },  { "/a/b", "./c.lua", "/a/b/c.lua" },
		{ "/a/b", "../c.lua", "/a/c.lua" }, { "/a/b", "/x//y/./z", "/x/y/z" },
		{ "/", "../../..", "/" },           { "/a/b/", "c/", "/a/b/c" },
		{ "/a", "b/../../../c", "/c" },
	};
	char out[PATH_MAX];

	for (size_t i = 0; i < LS_COUNT(cases); i++)
		ok(image_absolute(cases[i].base, cases[i].path, out, sizeof out) && strcmp(out, cases[i].result) == 0,
		   "%s in %s is %s", cases[i].path, cases[i].base, cases[i].result);
	ok(!image_absolute("/a", "0123456789", out, 8), "what does not fit is refused");
}

static int freeze_tree(void)
{
	struct image_builder *b = image_builder_new(1 << 20);
	struct err err = { 0 };
	int fd;

	ok(image_builder_add_tree(b, folder, &err) == 0, "the tree is added%s%s", err.code ? ": " : "", err.text);
	ok(image_builder_add(b, in_folder("lib/../app.lua"), &err) == 0, "a file twice is harmless");
	ok(image_builder_add_glob(b, folder, "views/*", &err) == 0, "a glob");
	ok(image_builder_find(b, in_folder("views/a.html")).p &&
	           !image_builder_find(b, in_folder("views/parts/b.html")).p,
	   "one star stays in its folder");
	ok(image_builder_add_glob(b, folder, "views/**", &err) == 0 &&
	           image_builder_find(b, in_folder("views/parts/b.html")).p,
	   "two do not");
	ok(image_builder_add_glob(b, folder, "../x", &err) == -EINVAL, "globs stay below the folder");
	ok(image_builder_add(b, in_folder("none.lua"), &err) == -ENOENT, "a missing file is an error");
	fd = image_builder_freeze(b, &err);
	ok(fd >= 0, "the image is frozen");
	image_builder_free(b);
	return fd;
}

static void holds_files(int fd)
{
	struct image im;
	struct err err = { 0 };

	ok(image_open(&im, fd, &err) == 0, "a frozen image opens %s", err.text);
	ok(str_eq(image_find(&im, in_folder("lib/deep/init.lua")), LS_STR("return 'deep'")), "a file is found");
	ok(image_find(&im, in_folder("lib/deep/init.lua")).p[13] == 0, "and terminated");
	ok(str_eq(image_find(&im, in_folder("lib/link.lua")), image_find(&im, in_folder("plain.lua"))),
	   "a link is its file");
	ok(!image_find(&im, in_folder("notes.txt")).p && !image_find(&im, in_folder(".git/hidden.lua")).p &&
	           !image_find(&im, in_folder("lib/loop/app.lua")).p && !image_find(&im, "/").p,
	   "what was not asked for, hidden folders and linked folders are not in it");
	ok(im.files == 9, "nine files: %u", im.files);
	image_close(&im);
	ok(im.map.p == NULL, "it closes");
}

static lua_State *open_state(const struct image *im, struct image_builder *b)
{
	struct err err;
	lua_State *L = state_new(NULL, NULL, &err);

	image_install(L, im, b, folder);
	return L;
}

static const char *run(lua_State *L, const char *text)
{
	static char out[1100];
	struct err err = { 0 };

	lua_settop(L, 0);
	luaL_loadstring(L, text);
	if (state_call(L, 0, 1, &err) < 0)
		snprintf(out, sizeof out, "%s", err.text);
	else
		snprintf(out, sizeof out, "%s", lua_tostring(L, -1) ? lua_tostring(L, -1) : "nil");
	return out;
}

static void comes_before_the_disk(int fd)
{
	char wanted[PATH_MAX + 2];
	struct image im;
	struct err err;

	image_open(&im, fd, &err);

	lua_State *L = open_state(&im, NULL);

	write_file("lib/one.lua", "return { name = 'changed on disk' }");
	write_file("fresh.lua", "return 'from disk'");
	ok(strcmp(run(L, "return require('lib.one').name"), "one") == 0, "require takes what was frozen");
	snprintf(wanted, sizeof wanted, "@%s", in_folder("lib/one.lua"));
	ok(strcmp(run(L, "return require('lib.one').file"), wanted) == 0, "under its real name");
	ok(strcmp(run(L, "return require('lib.one').where"), "lib.one") == 0, "and tells it the module's name");
	ok(strcmp(run(L, "return require 'lib.deep'"), "deep") == 0, "folders with init.lua");
	ok(strcmp(run(L, "return require 'fresh'"), "from disk") == 0, "the disk comes next");
	ok(strstr(run(L, "require 'lib.broken'"), "error loading module 'lib.broken' from file '/tmp/"),
	   "a syntax error");
	ok(strstr(run(L, "require 'lib.none'"), "no file '/tmp/luaserv-image-"),
	   "a missing module lists where it was looked for");
	lua_pushstring(L, in_folder("plain.lua"));
	lua_setglobal(L, "plain");
	ok(strcmp(run(L, "return loadfile(plain)(5)"), "5") == 0, "loadfile");
	ok(strcmp(run(L, "return select(2, loadfile(plain, 't', { value = 41 })())"), "42") == 0,
	   "with an environment");
	ok(strstr(run(L, "return select(2, loadfile('/none/x.lua'))"), "/none/x.lua"),
	   "a missing file gives nil, message");
	ok(strcmp(run(L, "return select(2, dofile(plain))"), "2") == 0, "dofile");
	ok(strstr(run(L, "dofile('none.lua')"), "none.lua"), "dofile raises");
	ok(strstr(run(L, "dofile()"), "need the name of a file"), "and does not read standard input");
	ok(image_load(L, &im, in_folder("script.lua"), &err) == 0, "image_load skips a #! line");
	lua_call(L, 0, 1);
	ok(strcmp(lua_tostring(L, -1), "ran") == 0, "and the script runs");
	ok(image_load(L, &im, in_folder("fresh.lua"), &err) == -ENOENT, "image_load takes nothing from the disk");
	ok(image_load(L, NULL, in_folder("fresh.lua"), &err) == 0, "unless there is no image");
	state_close(L);
	image_close(&im);
}

static void records(void)
{
	struct image_builder *b = image_builder_new(1000);
	lua_State *L = open_state(NULL, b);

	ok(strcmp(run(L, "return require 'fresh'"), "from disk") == 0 &&
	           image_builder_find(b, in_folder("fresh.lua")).p,
	   "what is loaded while recording is in the image");
	ok(strcmp(run(L, "return require 'lib.deep'"), "deep") == 0, "twice");
	write_file("large.lua", "return [[0123456789012345678901234567890123456789]]");
	for (int i = 0; i < 30; i++) {
		char name[32];

		snprintf(name, sizeof name, "large%d.lua", i);
		write_file(name, "return [[0123456789012345678901234567890123456789]]");
	}
	ok(strstr(run(L, "for i = 0, 29 do require('large' .. i) end"), "larger than 1000 bytes (image_max_size)"),
	   "the image has a limit");
	state_close(L);
	image_builder_free(b);
}

/* A copy with some bytes changed is refused, or stays inside (run under ASan). */
static void survives_damage(int fd)
{
	struct image im;
	struct err err;
	unsigned opened = 0;

	image_open(&im, fd, &err);
	srand(3);
	for (int i = 0; i < HOSTILE_ROUNDS; i++) {
		size_t size = im.map.size;
		char *copy = malloc(size);

		memcpy(copy, im.map.p, size);
		for (int k = rand() % 4; k >= 0; k--)
			copy[(size_t)rand() % (i % 2 ? 600 : size)] = (char)(rand() % 3 ? rand() : 0);
		if (i % 7 == 0)
			size = (size_t)rand() % size;

		int damaged = shm_freeze("damaged", str_make(copy, size));
		struct image other;

		if (damaged >= 0 && image_open(&other, damaged, &err) == 0) {
			opened++;
			for (uint32_t k = 0; k < other.files; k++) {
				struct str path = path_of(&other, k);

				if (path.len && strlen(path.p) == path.len)
					(void)image_find(&other, path.p);
			}
			image_close(&other);
		}
		close(damaged);
		free(copy);
	}
	ok(opened > 0 && opened < HOSTILE_ROUNDS, "%u of %d damaged images opened, none was left", opened,
	   HOSTILE_ROUNDS);

	int open_one = memfd_create("open", 0);

	ok(write(open_one, "LSIMAGE1", 8) == 8 && image_open(&im, open_one, &err) == -EPERM,
	   "an unsealed one is refused");
	close(open_one);
}

int main(void)
{
	make_folder();
	makes_paths_absolute();

	int fd = freeze_tree();

	holds_files(fd);
	comes_before_the_disk(fd);
	records();
	survives_damage(fd);
	close(fd);

	char command[64];

	snprintf(command, sizeof command, "rm -r %s", folder);
	ok(system(command) == 0, "cleaned up");
	return tap_done();
}
