/* t/unit/test_settings.c — layers, inheritance, names that do not exist, the environment, events. */
#include "conf/settings.c"

#include "tap.h"

static struct err err;

static int set(struct settings *s, struct port *p, const char *name, const char *text, enum settings_layer layer)
{
	err = (struct err){ 0 };
	return settings_set(s, p, name, str_from(text), layer, &err);
}

static const char *text_of(const struct settings *s, const struct port *p, const char *name)
{
	static char out[VALUE_TEXT_MAX];

	return settings_text(s, p, settings_find(name), out, sizeof out);
}

static bool is(const struct settings *s, const struct port *p, const char *name, const char *text)
{
	return strcmp(text_of(s, p, name), text) == 0;
}

static void every_default_is_sound(void)
{
	struct settings s;
	char again[VALUE_TEXT_MAX];
	bool round_trip = true, unique = true;

	settings_init(&s);
	for (unsigned i = 0; i < settings_row_count; i++) {
		const struct settings_row *row = &settings_rows[i];
		union value v = { 0 };

		settings_text(&s, NULL, row, again, sizeof again);
		round_trip = round_trip && value_parse(row, str_from(again), &v, NULL) == 0;
		round_trip = round_trip && value_equal(row, &v, settings_field(&s, NULL, row));
		value_clear(row, &v);
		unique = unique && settings_find(row->name) == row;
		unique = unique && (row->kind == VALUE_ENUM) == (row->names != NULL) && row->doc[0];
	}
	ok(round_trip, "the text of each default gives the default again");
	ok(unique, "no name stands twice; each has a doc, enums have names");
	ok(s.worker_num == VALUE_AUTO && s.max_wait_time == 30000 && s.ring_size == 524288,
	   "numbers are in their units");
	ok(s.template.package_eof.len == 4 && s.dispatch_mode == DISPATCH_AUTO, "bytes and enums too");
	settings_fini(&s);
}

static void later_layers_win(void)
{
	struct settings s;

	settings_init(&s);
	ok(set(&s, NULL, "worker_num", "2", LAYER_SCRIPT) == 0 && s.worker_num == 2, "the script's value holds");
	ok(set(&s, NULL, "worker_num", "3", LAYER_FILE) == 0 && s.worker_num == 2, "the file's is ignored");
	ok(set(&s, NULL, "worker_num", "0", LAYER_FILE) == -ERANGE, "but checked: %s", err.text);
	ok(set(&s, NULL, "worker_num", "4", LAYER_SCRIPT) == 0 && s.worker_num == 4, "the same layer may set again");
	ok(set(&s, NULL, "worker_num", "8", LAYER_OPTION) == 0 && s.worker_num == 8, "an option wins");
	ok(settings_layer_of(&s, NULL, settings_find("worker_num")) == LAYER_OPTION, "and is named as the source");
	ok(strcmp(settings_layer_name(LAYER_OPTION), "option") == 0, "by its name");
	settings_fini(&s);
}

static void unknown_names(void)
{
	struct settings s;

	settings_init(&s);
	ok(set(&s, NULL, "worker_nun", "1", LAYER_SCRIPT) == -ENOENT, "unknown");
	ok(strcmp(err.text, "unknown setting \"worker_nun\"; did you mean \"worker_num\"?") == 0, "%s", err.text);
	set(&s, NULL, "pakage_eof", "1", LAYER_SCRIPT);
	ok(strcmp(err.text, "unknown setting \"pakage_eof\"; did you mean \"package_eof\"?") == 0, "%s", err.text);
	set(&s, NULL, "elephants\n", "1", LAYER_SCRIPT);
	ok(strstr(err.text, "unknown setting \"elephants\\x0a\"; \"luaserv settings\"") != NULL, "%s", err.text);
	ok(set(&s, NULL, "", "1", LAYER_SCRIPT) == -ENOENT, "the empty name: %s", err.text);
	settings_fini(&s);
}

static void ports_inherit_name_by_name(void)
{
	struct settings s;
	struct port *first, *second, *third;

	settings_init(&s);
	first = settings_add_port(&s, "127.0.0.1", 9501, PORT_TCP, &err);
	set(&s, NULL, "package_eof", "\n", LAYER_SCRIPT);
	second = settings_add_port(&s, "127.0.0.1", 9502, PORT_TCP, &err);
	ok(is(&s, first, "package_eof", "\\n") && is(&s, second, "package_eof", "\\n"), "both ports have the server's");
	set(&s, second, "package_eof", "|", LAYER_SCRIPT);
	set(&s, second, "backlog", "7", LAYER_SCRIPT);
	set(&s, NULL, "package_eof", ";", LAYER_SCRIPT);
	ok(is(&s, first, "package_eof", ";") && is(&s, second, "package_eof", "|"), "the second keeps its own");
	set(&s, NULL, "package_max_length", "1m", LAYER_SCRIPT);
	ok(is(&s, second, "package_max_length", "1m"), "and still inherits other names");
	third = settings_add_port(&s, "::1", 9503, PORT_TCP6, &err);
	ok(is(&s, third, "package_eof", ";") && is(&s, third, "backlog", "512"), "a third starts from the server's");
	set(&s, NULL, "package_eof", "!", LAYER_OPTION);
	ok(is(&s, second, "package_eof", "!"), "an option for the server wins over the script's for the port");
	set(&s, second, "package_eof", "|", LAYER_SCRIPT);
	ok(is(&s, second, "package_eof", "!"), "whichever comes first");
	ok(set(&s, second, "worker_num", "1", LAYER_SCRIPT) == -EINVAL, "%s", err.text);
	ok(first == &s.ports[0] && second->index == 1 && s.n_ports == 3, "ports stay where they are");
	settings_fini(&s);
}

static void modules_are_protocols(void)
{
	struct settings s;
	struct port *p;

	settings_init(&s);
	p = settings_add_port(&s, "127.0.0.1", 9501, PORT_TCP, &err);
	ok(set(&s, NULL, "protocol", "my.module", LAYER_SCRIPT) == 0 && is(&s, p, "protocol", "lua") &&
	           is(&s, p, "protocol_module", "my.module"),
	   "a name that is no protocol's is a module's");
	ok(set(&s, p, "protocol", "HTTP", LAYER_SCRIPT) == 0 && is(&s, p, "protocol", "http"), "a protocol's is not");
	ok(set(&s, NULL, "protocol", "other", LAYER_FILE) == 0 && is(&s, NULL, "protocol_module", "my.module"),
	   "a lower layer's module is ignored");
	ok(set(&s, NULL, "protocol", "no module", LAYER_SCRIPT) == -EINVAL, "%s", err.text);
	ok(set(&s, NULL, "protocol", "", LAYER_SCRIPT) == -EINVAL, "%s", err.text);
	settings_fini(&s);
}

static void ports_are_bounded(void)
{
	struct settings s;
	char long_host[SOCK_TEXT_MAX + 1];
	char name[SETTINGS_PORT_TEXT_MAX];
	bool all = true;

	settings_init(&s);
	memset(long_host, 'h', sizeof long_host - 1);
	long_host[sizeof long_host - 1] = '\0';
	ok(!settings_add_port(&s, long_host, 1, PORT_TCP, &err) && err.code == -ENAMETOOLONG, "%s", err.text);
	for (int i = 0; i < SETTINGS_PORTS_MAX; i++)
		all = all && settings_add_port(&s, "*", (uint16_t)i, PORT_TCP, &err);
	ok(all && !settings_add_port(&s, "*", 99, PORT_TCP, &err), "%s", err.text);
	ok(strcmp(settings_port_text(&s.ports[9], name), "port 9") == 0, "a port's name: %s", name);
	s.ports[9].type = PORT_UNIX;
	snprintf(s.ports[9].host, sizeof s.ports[9].host, "unix:/run/a");
	ok(strcmp(settings_port_text(&s.ports[9], name), "port unix:/run/a") == 0, "a path's: %s", name);
	settings_fini(&s);
}

static void reads_the_environment(void)
{
	struct settings s;

	settings_init(&s);
	clearenv();
	setenv("LUASERV_WORKER_NUM", "6", 1);
	setenv("LUASERV_PACKAGE_EOF", "\\r\\n", 1);
	setenv("LUASERV_LOG_FILE", "", 1);
	setenv("LUASERV_TEST_MATRIX", "base", 1);
	setenv("LUASERV_RUNTIME_DIR", "/tmp", 1);
	setenv("LUASERV_PORT_80_TCP_ADDR", "10.0.0.1", 1);
	setenv("LUASERV_SERVICE_HOST", "10.0.0.1", 1);
	setenv("HOME", "/", 1);
	ok(settings_read_environment(&s, &err) == 0, "settings are read, others left alone");
	ok(s.worker_num == 6 && s.layers[SETTING_worker_num] == LAYER_ENVIRONMENT, "worker_num is the environment's");
	ok(str_eq(s.template.package_eof, LS_STR("\r\n")), "escapes are decoded");
	ok(s.layers[SETTING_log_file] == LAYER_DEFAULT, "an empty variable is not set");
	setenv("LUASERV_WORKER_NUM", "many", 1);
	ok(settings_read_environment(&s, &err) == -EINVAL, "%s", err.text);
	ok(settings_read_environment(&s, NULL) == -EINVAL, "the same without a place for the sentence");
	unsetenv("LUASERV_WORKER_NUM");
	setenv("LUASERV_WORKER_NUN", "4", 1);
	settings_read_environment(&s, &err);
	ok(strcmp(err.text, "environment variable LUASERV_WORKER_NUN names no setting; did you mean \"worker_num\"?") ==
	           0,
	   "%s", err.text);
	clearenv();
	ok(settings_read_environment(&s, &err) == 0, "an empty environment is fine");
	settings_fini(&s);
}

static void finds_events(void)
{
	static const char *const worker_start[] = { "worker_start", "WorkerStart", "onWorkerStart", "ON_WORKER_START",
		                                    "workerstart" };

	for (size_t i = 0; i < LS_COUNT(worker_start); i++)
		ok(settings_event_find(str_from(worker_start[i])) == EVENT_worker_start, "%s", worker_start[i]);
	ok(settings_event_find(LS_STR("recieve")) == -1 && settings_event_find(LS_STR("on")) == -1,
	   "others are unknown");
	ok(strcmp(settings_event_nearest(LS_STR("onRecieve")), "receive") == 0, "the nearest to onRecieve is receive");
	ok(settings_event_is_port(EVENT_close) && !settings_event_is_port(EVENT_start), "each knows where it belongs");
	ok(strcmp(settings_event_name(EVENT_request), "request") == 0 && settings_event_doc(EVENT_request)[0],
	   "and its doc");
	ok(strcmp(settings_event_name(-1), "unknown") == 0, "no event has no name");
}

static void ports_of_no_server(void)
{
	struct port *said = settings_port_new(NULL), *copy;
	err = (struct err){ 0 };
	ok(said->package_max_length == 2097152 && said->protocol == PROTOCOL_TCP, "defaults");
	settings_set(NULL, said, "open_eof_check", LS_STR("true"), LAYER_SCRIPT, &err);
	settings_set(NULL, said, "package_eof", LS_STR("\n"), LAYER_SCRIPT, &err);
	copy = settings_port_new(said);
	settings_resolve_port(copy);
	ok(copy->protocol == PROTOCOL_EOF && str_eq(copy->package_eof, LS_STR("\n")) && said->protocol == PROTOCOL_TCP,
	   "a copy is resolved by itself");
	ok(copy->package_eof.p != said->package_eof.p && settings_check_framing(copy, &err) == 0,
	   "and owns what it has");
	settings_set(NULL, copy, "package_max_length", LS_STR("1"), LAYER_SCRIPT, &err);
	settings_set(NULL, copy, "package_eof", LS_STR("ab"), LAYER_SCRIPT, &err);
	ok(settings_check_framing(copy, &err) == -EINVAL && strncmp(err.text, "package_eof has 2 bytes", 23) == 0,
	   "refused: %s", err.text);
	ok(settings_set(NULL, copy, "worker_num", LS_STR("1"), LAYER_SCRIPT, &err) == -EINVAL,
	   "what is a server's is refused");
	settings_port_free(copy);
	settings_port_free(said);
	settings_port_free(NULL);
}

int main(void)
{
	every_default_is_sound();
	later_layers_win();
	unknown_names();
	ports_inherit_name_by_name();
	modules_are_protocols();
	ports_are_bounded();
	reads_the_environment();
	finds_events();
	ports_of_no_server();
	return tap_done();
}
