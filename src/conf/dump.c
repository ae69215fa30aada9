/* Settings for people and programs: values with where they came from, and the reference. */
#include "base/bits.h"
#include "base/codec.h"
#include "base/mem.h"
#include "conf/reference.h"
#include "conf/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { JSON_MAX = 6 * VALUE_TEXT_MAX + 3 };

static void json_string(FILE *f, const char *text)
{
	char *out = xalloc(JSON_MAX);

	codec_json_string(str_take(str_from(text), VALUE_TEXT_MAX), out, JSON_MAX);
	fputs(out, f);
	free(out);
}

static void json_member(FILE *f, const char *key, const char *text)
{
	json_string(f, key);
	fputc(':', f);
	json_string(f, text);
}

/* `{"worker_num":{"value":"4","from":"script"},…}` of one scope. */
static void json_values(FILE *f, const struct settings *s, const struct port *p, enum settings_scope scope)
{
	char text[VALUE_TEXT_MAX];
	const char *sep = "";

	fputc('{', f);
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->scope != scope)
			continue;
		fputs(sep, f);
		sep = ",";
		json_string(f, row->name);
		fputs(":{", f);
		json_member(f, "value", settings_text(s, p, row, text, sizeof text));
		fputc(',', f);
		json_member(f, "from", settings_layer_name(settings_layer_of(s, p, row)));
		fputc('}', f);
	}
	fputc('}', f);
}

static void json_settings(FILE *f, const struct settings *s)
{
	fputs("{\"server\":", f);
	json_values(f, s, NULL, SETTINGS_SERVER);
	fputs(",\"ports\":[", f);
	for (unsigned i = 0; i < s->n_ports; i++) {
		fputs(i ? ",{" : "{", f);
		json_member(f, "host", s->ports[i].host);
		fprintf(f, ",\"port\":%u,\"settings\":", s->ports[i].number);
		json_values(f, s, &s->ports[i], SETTINGS_PORT);
		fputc('}', f);
	}
	fputs("]}\n", f);
}

static void json_row(FILE *f, const struct settings_row *row)
{
	char text[VALUE_TEXT_MAX];

	fputc('{', f);
	json_member(f, "name", row->name);
	fputc(',', f);
	json_member(f, "type", row->type);
	fputc(',', f);
	json_member(f, "scope", row->scope == SETTINGS_SERVER ? "server" : "port");
	fputc(',', f);
	json_member(f, "default", value_print_default(row, text, sizeof text));
	fputc(',', f);
	json_member(f, "range", value_print_range(row, text, sizeof text));
	if (row->names) {
		fputs(",\"values\":[\"", f);
		fprintf(f, "%s\"]", value_print_choices(row, "\",\"", "\",\"", text, sizeof text));
	}
	fputc(',', f);
	json_member(f, "takes_effect_with", reference_reload_text(row->reload));
	fputc(',', f);
	json_member(f, "doc", row->doc);
	fputc('}', f);
}

static void json_reference(FILE *f)
{
	fputs("[\n", f);
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		json_row(f, &settings_rows[i]);
		fputs(i + 1 < SETTINGS_COUNT ? ",\n" : "\n", f);
	}
	fputs("]\n", f);
}

static void text_values(FILE *f, const struct settings *s, const struct port *p, enum settings_scope scope)
{
	char text[VALUE_TEXT_MAX];

	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->scope == scope)
			fprintf(f, "%-24s %-20s %s\n", row->name, settings_text(s, p, row, text, sizeof text),
			        settings_layer_name(settings_layer_of(s, p, row)));
	}
}

static void text_settings(FILE *f, const struct settings *s)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	text_values(f, s, NULL, SETTINGS_SERVER);
	for (unsigned i = 0; i < s->n_ports; i++) {
		fprintf(f, "\n%s\n", settings_port_text(&s->ports[i], name));
		text_values(f, s, &s->ports[i], SETTINGS_PORT);
	}
}

static void text_reference(FILE *f)
{
	char text[VALUE_TEXT_MAX];

	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		fprintf(f, "%-24s %-8s %-10s %s\n", settings_rows[i].name, settings_rows[i].type,
		        value_print_default(&settings_rows[i], text, sizeof text), settings_rows[i].doc);
}

char *settings_dump(const struct settings *s, enum settings_dump format)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		abort(); /* no memory, as xalloc() */
	switch (format) {
	case DUMP_TEXT:
		s ? text_settings(f, s) : text_reference(f);
		break;
	case DUMP_JSON:
		s ? json_settings(f, s) : json_reference(f);
		break;
	case DUMP_CONF:
		reference_conf(f);
		break;
	case DUMP_MARKDOWN:
		reference_markdown(f);
		break;
	case DUMP_LUA:
		reference_lua(f);
		break;
	case DUMP_MAN:
		reference_man(f);
		break;
	}
	fclose(f);
	return out;
}

int settings_dump_find(const char *name)
{
	static const char *const names[] = {
		[DUMP_TEXT] = "text", [DUMP_CONF] = "conf", [DUMP_MARKDOWN] = "markdown",
		[DUMP_JSON] = "json", [DUMP_LUA] = "lua",   [DUMP_MAN] = "man",
	};

	for (int i = 0; i < (int)LS_COUNT(names); i++)
		if (str_eq(str_from(name), str_from(names[i])))
			return i;
	return -1;
}

static void explain_value(FILE *f, const struct settings *s, const struct port *p, const struct settings_row *row)
{
	char text[VALUE_TEXT_MAX], name[SETTINGS_PORT_TEXT_MAX];

	fprintf(f, "%s = %s (from: %s)", row->name, settings_text(s, p, row, text, sizeof text),
	        settings_layer_name(settings_layer_of(s, p, row)));
	if (p)
		fprintf(f, " on %s", settings_port_text(p, name));
	fputc('\n', f);
}

char *settings_explain(const struct settings *s, const struct settings_row *row)
{
	char text[VALUE_TEXT_MAX];
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	if (!f)
		abort(); /* no memory, as xalloc() */
	if (s && (row->scope == SETTINGS_SERVER || s->n_ports == 0))
		explain_value(f, s, NULL, row);
	else if (s)
		for (unsigned i = 0; i < s->n_ports; i++)
			explain_value(f, s, &s->ports[i], row);
	else
		fprintf(f, "%s\n", row->name);
	fprintf(f, "  %s\n", row->doc);
	fprintf(f, "  type:    %s of %s\n", row->type, row->scope == SETTINGS_SERVER ? "the server" : "a port");
	if (row->names)
		fprintf(f, "  values:  %s\n", value_print_choices(row, ", ", ", ", text, sizeof text));
	else if (value_print_range(row, text, sizeof text)[0])
		fprintf(f, "  range:   %s\n", text);
	fprintf(f, "  default: %s\n", value_print_default(row, text, sizeof text));
	fprintf(f, "  a change takes effect with %s\n", reference_reload_text(row->reload));
	fclose(f);
	return out;
}
