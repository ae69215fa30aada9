/* t/unit/test_diff.c — what a reload may change, and the reasons when it may not. */
#include "conf/diff.c"

#include "tap.h"

static struct err why;

static void build(struct settings *s)
{
	settings_init(s);
	settings_add_port(s, "127.0.0.1", 9501, PORT_TCP, NULL);
	settings_add_port(s, "127.0.0.1", 9502, PORT_TCP, NULL);
}

static enum settings_reload changed(const char *name, const char *text, unsigned port)
{
	struct settings a, b;
	enum settings_reload reload;

	build(&a);
	build(&b);
	why = (struct err){ 0 };
	settings_set(&b, port ? &b.ports[port - 1] : NULL, name, str_from(text), LAYER_SCRIPT, NULL);
	reload = settings_diff(&a, &b, &why);
	settings_fini(&a);
	settings_fini(&b);
	return reload;
}

static void classes(void)
{
	ok(changed("worker_num", "auto", 0) == RELOAD_LIVE && why.code == 0,
	   "the same value from elsewhere is no change");
	ok(changed("max_wait_time", "5s", 0) == RELOAD_WORKERS && why.text[0] == '\0', "max_wait_time: new workers");
	ok(changed("package_max_length", "5m", 2) == RELOAD_LISTEN, "package_max_length: new connections");
	ok(changed("worker_num", "4", 0) == RELOAD_RESTART && strcmp(why.text, "worker_num (auto -> 4)") == 0, "%s",
	   why.text);
	ok(changed("protocol", "http", 2) == RELOAD_RESTART &&
	           strcmp(why.text, "port 9502: protocol (tcp -> http)") == 0,
	   "%s", why.text);
	ok(changed("user", "www", 0) == RELOAD_RESTART && strcmp(why.text, "user (\"\" -> www)") == 0, "%s", why.text);
}

static void processes(void)
{
	struct settings a, b;

	build(&a);
	build(&b);
	userproc_add(&a, LS_STR("x"), RESTART_ALWAYS, true, NULL);
	userproc_add(&b, LS_STR("y"), RESTART_NEVER, false, NULL);
	ok(settings_diff(&a, &b, &why) < RELOAD_RESTART, "what a user process is called may change");
	userproc_add(&b, LS_STR("z"), RESTART_ALWAYS, true, NULL);
	ok(settings_diff(&a, &b, &why) == RELOAD_RESTART && strcmp(why.text, "number of user processes (1 -> 2)") == 0,
	   "%s", why.text);
	settings_fini(&a);
	settings_fini(&b);
}

static void places(void)
{
	struct settings a, b;

	build(&a);
	build(&b);
	settings_add_port(&b, "*", 9503, PORT_TCP, NULL);
	ok(settings_diff(&a, &b, &why) == RELOAD_RESTART && strcmp(why.text, "number of ports (2 -> 3)") == 0, "%s",
	   why.text);
	b.n_ports = 2;
	b.ports[1].number = 9600;
	ok(settings_diff(&a, &b, &why) == RELOAD_RESTART, "%s", why.text);
	ok(strcmp(why.text, "address of port no. 2 (port 9502 of 127.0.0.1 -> port 9600 of 127.0.0.1)") == 0, "moved");
	b.ports[1].number = 9502;
	b.ports[1].address.len = 5;
	ok(settings_diff(&a, &b, &why) == RELOAD_LIVE, "what was bound is no setting");
	b.ports[1].events = 1;
	ok(settings_diff(&a, &b, &why) == RELOAD_WORKERS, "another handler needs new workers");
	b.n_ports = 3;
	settings_fini(&a);
	settings_fini(&b);
}

static void many_reasons_are_counted(void)
{
	static const char *const all[][2] = {
		{ "mode", "base" },        { "worker_num", "1" },  { "reactor_num", "1" }, { "dispatch_mode", "idle" },
		{ "max_connection", "9" }, { "daemonize", "yes" }, { "pid_file", "/p" },   { "user", "u" },
		{ "group", "g" },          { "chroot", "/c" },     { "log_file", "/l" },   { "access_log", "/a" },
		{ "ring_size", "1m" },     { "backlog", "9" },
	};
	struct settings a, b;

	build(&a);
	build(&b);
	for (size_t i = 0; i < LS_COUNT(all); i++)
		settings_set(&b, NULL, all[i][0], str_from(all[i][1]), LAYER_SCRIPT, NULL);
	ok(settings_diff(&a, &b, &why) == RELOAD_RESTART &&
	           strstr(why.text, "access_log (off -> /a) and 3 more") != NULL,
	   "%s", why.text);
	ok(settings_diff(&a, &b, NULL) == RELOAD_RESTART, "the reasons need not be asked for");
	settings_fini(&a);
	settings_fini(&b);
}

int main(void)
{
	classes();
	places();
	processes();
	many_reasons_are_counted();
	return tap_done();
}
