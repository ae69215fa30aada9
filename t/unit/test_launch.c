/* t/unit/test_launch.c — what a server is started with survives packing; bytes that are no launch are refused. */
#include "super/launch.c"

#include "tap.h"

static void survives_packing(void)
{
	char bytes[512];
	struct launch a, b;
	struct err err;

	launch_init(&a, "/srv/app.lua", "/srv", NULL);
	ok(launch_add_option(&a, "worker_num=4", &err) == 0 && launch_add_option(&a, "pid_file=", &err) == 0,
	   "options are taken");

	ssize_t len = launch_pack(&a, bytes, sizeof bytes);

	ok(len > 0 && launch_unpack(&b, str_make(bytes, (size_t)len)) == 0, "packed and unpacked");
	ok(strcmp(b.script, a.script) == 0 && strcmp(b.directory, "/srv") == 0 && strcmp(b.conf, "") == 0 &&
	           b.n_options == 2 && strcmp(b.options[1], "pid_file=") == 0,
	   "it is the same");
	ok(launch_pack(&a, bytes, 20) == -E2BIG, "too little room is told");
	launch_fini(&a);
	launch_fini(&b);
}

static void refuses_nonsense(void)
{
	struct launch l;
	struct err err;
	char many[3 * (LAUNCH_OPTIONS_MAX + 8)];

	ok(launch_unpack(&l, LS_STR("")) == -EPROTO && launch_unpack(&l, LS_STR("a\0b")) == -EPROTO &&
	           launch_unpack(&l, LS_STR("a\0b\0")) == -EPROTO,
	   "too few fields, or no terminator");
	memset(many, 0, sizeof many);
	ok(launch_unpack(&l, str_make(many, sizeof many)) == -EPROTO, "too many");
	launch_fini(&l);
	launch_init(&l, NULL, NULL, NULL);
	ok(launch_add_option(&l, "worker_num", &err) == -EINVAL && launch_add_option(&l, "=4", &err) == -EINVAL &&
	           launch_add_option(&l, "a=b\nc=d", &err) == -EINVAL,
	   "options that are none");
	launch_fini(&l);
}

int main(void)
{
	survives_packing();
	refuses_nonsense();
	return tap_done();
}
