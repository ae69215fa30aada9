#include "cli/cmd_conf.h"

#include "base/codec.h"
#include "conf/settings.h"
#include "ipc/ctl.h"
#include "loop/loop.h"
#include "super/evaluate.h"
#include "super/jsonline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- evaluation ------------------------------------------------------------------------------ */

struct evaluation {
	struct loop loop;
	struct release *release;
	struct err err;
};

static void on_evaluated(void *ctx, struct release *release, const struct err *err)
{
	struct evaluation *e = ctx;

	e->release = release;
	e->err = *err;
	loop_stop(&e->loop);
}

/* NULL, and told. */
static struct release *evaluate(const struct cli_args *args)
{
	struct evaluation e = { 0 };
	struct evaluate_opts opts = {
		.loop = &e.loop,
		.self = CTL_ROLE_CLI,
		.out = STDERR_FILENO,
		.timeout_ms = evaluate_timeout(&args->launch),
		.done = on_evaluated,
		.ctx = &e,
	};
	int r = loop_init(&e.loop);

	if (r < 0) {
		cli_complain(CLI_FAILED, "no event loop can be made: %s", strerror(-r));
		return NULL;
	}
	if (evaluate_script(&opts, &args->launch, &e.err))
		loop_run(&e.loop);
	loop_fini(&e.loop);
	if (!e.release)
		cli_complain(CLI_FAILED, "%s", e.err.text);
	return e.release;
}

/* ---- check ----------------------------------------------------------------------------------- */

static const char *text_of(const struct settings *s, const struct port *port, const char *name, char *out, size_t cap)
{
	return settings_text(s, port, settings_find(name), out, cap);
}

int cmd_conf_check(struct cli_args *args)
{
	struct release *r;
	char mode[16], protocol[32];

	if (!cli_has_script(args))
		return args->script ? CLI_FAILED : CLI_USAGE;
	r = evaluate(args);
	if (!r)
		return CLI_FAILED;
	printf("%s is sound; it would serve ", r->settings.script);
	for (unsigned i = 0; i < r->settings.n_ports; i++) {
		const struct port *p = &r->settings.ports[i];
		struct sock_addr addr;
		char text[SOCK_TEXT_MAX];
		struct err err;

		if (sock_parse(p->host, p->number, &addr, &err) < 0)
			continue;
		printf("%s%s on %s", i ? ", " : "", text_of(&r->settings, p, "protocol", protocol, sizeof protocol),
		       sock_text(&addr, text));
	}
	printf(" (%s mode, %" PRIu64 " workers)\n", text_of(&r->settings, NULL, "mode", mode, sizeof mode),
	       r->settings.worker_num);
	release_unref(r);
	return CLI_DONE;
}

/* ---- settings -------------------------------------------------------------------------------- */

static const char *layer_name(const uint8_t *layers, unsigned index)
{
	static const char *const names[] = { "the default", "the configuration file", "the environment", "the script",
		                             "the option -o" };

	return layers ? names[layers[index] % LS_COUNT(names)] : names[0];
}

static const char *reload_name(enum settings_reload reload)
{
	static const char *const names[] = { "at once", "on new connections after a reload",
		                             "in new workers after a reload", "after a restart" };

	return names[reload];
}

static void print_value(const struct settings *s, const struct port *port, const struct settings_row *row, bool json)
{
	const uint8_t *layers = port ? port->layers : s->layers;
	const char *from = layer_name(layers, (unsigned)(row - settings_rows));
	char value[8192], where[SOCK_TEXT_MAX + 32];

	settings_text(s, port, row, value, sizeof value);
	if (!json) {
		printf("%s = %s (from %s%s%s)\n", row->name, value, from, port ? ", " : "",
		       port ? settings_port_text(port, where) : "");
		return;
	}
	fputs("{\"value\":", stdout);
	jsonline_put(stdout, str_from(value));
	fputs(",\"from\":", stdout);
	jsonline_put(stdout, str_from(from));
	if (port) {
		fputs(",\"port\":", stdout);
		jsonline_put(stdout, str_from(settings_port_text(port, where)));
	}
	fputs("}", stdout);
}

static void print_values(const struct settings *s, const struct settings_row *row, bool json)
{
	if (row->scope == SETTINGS_SERVER) {
		print_value(s, NULL, row, json);
	} else if (s->n_ports == 0) {
		print_value(s, &s->template, row, json);
	} else {
		for (unsigned i = 0; i < s->n_ports; i++) {
			if (json && i)
				fputs(",", stdout);
			print_value(s, &s->ports[i], row, json);
		}
	}
}

static int explain(const struct settings *s, const char *name, bool json)
{
	const struct settings_row *row = settings_find(name);
	struct settings probe;
	struct err err;

	if (!row) {
		settings_init(&probe);
		settings_set(&probe, NULL, name, LS_STR(""), LAYER_OPTION, &err);
		settings_fini(&probe);
		return cli_complain(CLI_FAILED, "%s", err.text);
	}
	if (json) {
		printf("{\"name\":\"%s\",\"type\":\"%s\",\"default\":", row->name, row->type);
		jsonline_put(stdout, str_from(row->def));
		printf(",\"min\":%" PRIu64 ",\"max\":%" PRIu64 ",\"effect\":", row->min, row->max);
		jsonline_put(stdout, str_from(reload_name(row->reload)));
		fputs(",\"doc\":", stdout);
		jsonline_put(stdout, str_from(row->doc));
		fputs(",\"values\":[", stdout);
		print_values(s, row, true);
		fputs("]}\n", stdout);
		return CLI_DONE;
	}
	print_values(s, row, false);
	printf("%s; default %s", row->type, row->def[0] ? row->def : "empty");
	if (row->max && row->kind != VALUE_STR && row->kind != VALUE_PATH && row->kind != VALUE_LIST)
		printf("; %" PRIu64 " … %" PRIu64, row->min, row->max);
	printf("; a change takes effect %s\n%s\n", reload_name(row->reload), row->doc);
	return CLI_DONE;
}

/* Without a script: what stands without one. */
static int settle(const struct cli_args *args, struct settings *s, struct err *err)
{
	settings_init(s);
	s->directory = strdup(args->launch.directory);
	if (settings_read_environment(s, err) < 0)
		return err->code;
	for (unsigned i = 0; i < args->launch.n_options; i++) {
		struct str value = str_from(args->launch.options[i]);
		struct str name = str_split(&value, '=');
		char key[128];

		str_copy(name, key, sizeof key);
		if (settings_set(s, NULL, key, value, LAYER_OPTION, err) < 0)
			return err->code;
	}
	return 0;
}

/* `s` NULL: the whole reference. */
static int print_all(const struct settings *s, bool json)
{
	char *all = settings_dump(s, json ? DUMP_JSON : DUMP_TEXT);

	if (!all)
		return cli_complain(CLI_FAILED, "there is not enough memory");
	fputs(all, stdout);
	free(all);
	return CLI_DONE;
}

static int dump(const char *format)
{
	static const char *const names[] = { "text", "conf", "markdown", "json", "lua", "man" };

	for (size_t i = 0; i < LS_COUNT(names); i++)
		if (strcmp(names[i], format) == 0) {
			char *all = settings_dump(NULL, (enum settings_dump)i);

			fputs(all ? all : "", stdout);
			free(all);
			return CLI_DONE;
		}
	return cli_complain(CLI_USAGE, "--dump takes text, conf, markdown, json, lua or man, not \"%s\"", format);
}

int cmd_conf_settings(struct cli_args *args)
{
	bool json = args->given & CLI_JSON;
	struct settings s;
	struct err err;
	int code;

	if (args->dump)
		return dump(args->dump);
	if (args->script) {
		struct release *r = cli_has_script(args) ? evaluate(args) : NULL;

		if (!r)
			return CLI_FAILED;
		code = args->word ? explain(&r->settings, args->word, json) : print_all(&r->settings, json);
		release_unref(r);
		return code;
	}
	if (args->given & CLI_CONF)
		return cli_complain(CLI_USAGE, "a configuration file is read together with a script: add -s app.lua");
	if (!args->word)
		return print_all(NULL, json);
	code = settle(args, &s, &err) < 0 ? cli_complain(CLI_FAILED, "%s", err.text) : explain(&s, args->word, json);
	settings_fini(&s);
	return code;
}
