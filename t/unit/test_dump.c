/* t/unit/test_dump.c — values and reference in each format. */
#include "conf/dump.c"

#include "tap.h"

static struct err err;

static void build(struct settings *s)
{
	settings_init(s);
	settings_add_port(s, "127.0.0.1", 9501, PORT_TCP, &err);
	settings_set(s, NULL, "worker_num", LS_STR("4"), LAYER_SCRIPT, &err);
	settings_set(s, NULL, "package_eof", LS_STR("\r\n"), LAYER_OPTION, &err);
}

static void holds(const char *what, const char *text, const char *part)
{
	ok(strstr(text, part) != NULL, "%s has: %s", what, part);
}

static void values(void)
{
	struct settings s;
	char *text;

	build(&s);
	text = settings_dump(&s, DUMP_TEXT);
	holds("text", text, "worker_num               4                    script\n");
	holds("text", text, "\nport 9501\n");
	holds("text", text, "package_eof              \\r\\n                 option\n");
	free(text);
	text = settings_dump(&s, DUMP_JSON);
	holds("JSON", text, "{\"server\":{\"mode\":{\"value\":\"process\",\"from\":\"default\"}");
	holds("JSON", text,
	      "\"ports\":[{\"host\":\"127.0.0.1\",\"port\":9501,\"settings\":{\"protocol\":{\"value\":\"tcp\"");
	holds("JSON", text, "\"package_eof\":{\"value\":\"\\\\r\\\\n\",\"from\":\"option\"}");
	free(text);
	text = settings_explain(&s, settings_find("worker_num"));
	holds("explanation", text, "worker_num = 4 (from: script)\n");
	holds("explanation", text, "range:   1 to 1024\n");
	free(text);
	text = settings_explain(&s, settings_find("protocol"));
	holds("explanation", text, "protocol = tcp (from: default) on port 9501\n");
	holds("explanation", text, "values:  tcp, eof, length, http, lua, websocket\n");
	free(text);
	text = settings_explain(NULL, settings_find("max_wait_time"));
	holds("explanation", text, "default: 30s\n");
	free(text);
	settings_fini(&s);
}

static void every_setting_is_in(enum settings_dump format, const char *name, const char *around)
{
	char *text = settings_dump(NULL, format);
	unsigned missing = 0;

	for (unsigned i = 0; i < settings_row_count; i++) {
		char wanted[128];

		snprintf(wanted, sizeof wanted, "%s%s", around, settings_rows[i].name);
		missing += strstr(text, wanted) == NULL;
	}
	ok(missing == 0, "all settings are in %s", name);
	free(text);
}

static void reference(void)
{
	char *text;

	every_setting_is_in(DUMP_TEXT, "text", "");
	every_setting_is_in(DUMP_MARKDOWN, "markdown", "### `");
	every_setting_is_in(DUMP_CONF, "conf", "\t-- ");
	every_setting_is_in(DUMP_JSON, "JSON", "{\"name\":\"");
	every_setting_is_in(DUMP_LUA, "lua", "---@field ");
	every_setting_is_in(DUMP_MAN, "man", ".TP\n.B ");
	text = settings_dump(NULL, DUMP_CONF);
	holds("conf", text, "\t-- worker_num = \"auto\",\n");
	holds("conf", text, "\t-- max_coroutine = 100000,\n");
	holds("conf", text, "\t-- daemonize = false,\n");
	holds("conf", text, "\t-- package_eof = \"\\r\\n\\r\\n\",\n");
	holds("conf", text, "\t-- image = {},\n");
	free(text);
	text = settings_dump(NULL, DUMP_LUA);
	holds("lua", text, "---@field mode? \"process\"|\"base\"|\"single\" ");
	holds("lua", text, "---@field worker_num? integer|\"auto\" ");
	holds("lua", text, "---| \"receive\" # ");
	free(text);
	text = settings_dump(NULL, DUMP_JSON);
	holds("JSON", text, "\"values\":[\"process\",\"base\",\"single\"]");
	free(text);
	ok(settings_dump_find("lua") == DUMP_LUA && settings_dump_find("xml") == -1, "formats have names");
}

int main(void)
{
	values();
	reference();
	return tap_done();
}
