#include "conf/settings.h"

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY UINT64_C(86400000)                /* milliseconds */
#define GIB UINT64_C(1073741824)              /* bytes */
#define UINT_BOUND UINT64_C(9007199254740991) /* 2^53 - 1: a Lua number holds it */

enum { NAME_MAX_LENGTH = 63 };

static const struct settings_names settings_modes[] = {
	{ "process", MODE_PROCESS },
	{ "base", MODE_BASE },
	{ "single", MODE_SINGLE },
	{ NULL, 0 },
};

static const struct settings_names settings_dispatch[] = {
	{ "auto", DISPATCH_AUTO },   { "round", DISPATCH_ROUND }, { "1", DISPATCH_ROUND },
	{ "fixed", DISPATCH_FIXED }, { "2", DISPATCH_FIXED },     { "idle", DISPATCH_IDLE },
	{ "3", DISPATCH_IDLE },      { "ip", DISPATCH_IP },       { "4", DISPATCH_IP },
	{ "uid", DISPATCH_UID },     { "5", DISPATCH_UID },       { "least", DISPATCH_LEAST },
	{ "7", DISPATCH_IDLE },      { "8", DISPATCH_LEAST },     { "9", DISPATCH_IDLE },
	{ "10", DISPATCH_IDLE },     { "key", DISPATCH_KEY },     { NULL, 0 },
};

static const struct settings_names settings_log_levels[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warn", LOG_LEVEL_WARN },   { "notice", LOG_LEVEL_NOTICE },
	{ "info", LOG_LEVEL_INFO },   { "debug", LOG_LEVEL_DEBUG }, { NULL, 0 },
};

static const struct settings_names settings_access_formats[] = {
	{ "combined", ACCESS_COMBINED },
	{ "json", ACCESS_JSON },
	{ NULL, 0 },
};

static const struct settings_names settings_worker_error[] = {
	{ "keep", WORKER_ERROR_KEEP },
	{ "close", WORKER_ERROR_CLOSE },
	{ NULL, 0 },
};

static const struct settings_names settings_buffer_policies[] = {
	{ "wait", BUFFER_WAIT },
	{ "drop", BUFFER_DROP },
	{ "close", BUFFER_CLOSE },
	{ NULL, 0 },
};

static const struct settings_names settings_protocols[] = {
	{ "tcp", PROTOCOL_TCP },
	{ "raw", PROTOCOL_TCP },
	{ "eof", PROTOCOL_EOF },
	{ "length", PROTOCOL_LENGTH },
	{ "http", PROTOCOL_HTTP },
	{ "lua", PROTOCOL_LUA },
	{ "websocket", PROTOCOL_WEBSOCKET },
	{ NULL, 0 },
};

static const struct settings_names settings_length_types[] = {
	{ "c", 'c' }, { "C", 'C' }, { "s", 's' }, { "S", 'S' }, { "n", 'n' }, { "v", 'v' }, { "l", 'l' }, { "L", 'L' },
	{ "N", 'N' }, { "V", 'V' }, { "q", 'q' }, { "Q", 'Q' }, { "J", 'J' }, { "P", 'P' }, { NULL, 0 },
};

static const struct settings_names settings_request_body[] = {
	{ "buffer", REQUEST_BODY_BUFFER },
	{ "stream", REQUEST_BODY_STREAM },
	{ NULL, 0 },
};

#define ROW_BOOL "bool", VALUE_BOOL, NULL
#define ROW_UINT "uint", VALUE_UINT, NULL
#define ROW_TIME "time", VALUE_TIME, NULL
#define ROW_SIZE "size", VALUE_SIZE, NULL
#define ROW_STR "string", VALUE_STR, NULL
#define ROW_PATH "path", VALUE_PATH, NULL
#define ROW_BYTES "string", VALUE_BYTES, NULL
#define ROW_LIST "list", VALUE_LIST, NULL
#define ROW_ENUM(names) "enum", VALUE_ENUM, names
#define ROW_STRUCT_SERVER struct settings
#define ROW_STRUCT_PORT struct port
#define ROW(row_scope, row_name, row_def, row_min, row_max, row_reload, row_doc, row_type, row_kind, row_names) \
	{ \
		.name = #row_name, \
		.type = row_type, \
		.kind = row_kind, \
		.scope = SETTINGS_##row_scope, \
		.reload = RELOAD_##row_reload, \
		.def = row_def, \
		.min = row_min, \
		.max = row_max, \
		.doc = row_doc, \
		.offset = offsetof(ROW_STRUCT_##row_scope, row_name), \
		.names = row_names, \
	},
#define ROW_EXPANDED(...) ROW(__VA_ARGS__)

const struct settings_row settings_rows[] = {
#define SETTING(scope, type, name, def, min, max, reload, doc) \
	ROW_EXPANDED(scope, name, def, min, max, reload, doc, ROW_##type)
#include "conf/settings.def"
#undef SETTING
};

const unsigned settings_row_count = SETTINGS_COUNT;

/* Variables LUASERV_* that are not settings; a prefix ends with an underscore.  Kubernetes makes PORT and SERVICE ones
 * up for a service that is called luaserv. */
static const char *const other_variables[] = { "TEST_",  "RUNTIME_DIR", "BIN",   "JOBS",
	                                       "BUILD_", "PORT",        "PORT_", "SERVICE_" };

static void *port_field(struct port *p, const struct settings_row *row)
{
	return (char *)p + row->offset;
}

static void *field_of(struct settings *s, struct port *port, const struct settings_row *row)
{
	if (row->scope == SETTINGS_SERVER)
		return (char *)s + row->offset;
	return port_field(port ? port : &s->template, row);
}

static void set_default(const struct settings_row *row, void *field)
{
	int r = value_parse(row, str_from(row->def), field, NULL);

	assert(r == 0); /* settings.def is wrong */
	(void)r;
}

void settings_init(struct settings *s)
{
	*s = (struct settings){ .layers = xzalloc(SETTINGS_COUNT) };
	s->template.layers = xzalloc(SETTINGS_COUNT);
	s->template.own = xzalloc(SETTINGS_COUNT);
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		set_default(&settings_rows[i], field_of(s, NULL, &settings_rows[i]));
}

static void port_fini(struct port *p)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		if (settings_rows[i].scope == SETTINGS_PORT)
			value_clear(&settings_rows[i], port_field(p, &settings_rows[i]));
	free(p->layers);
	free(p->own);
}

static void copy_port(struct port *to, const struct port *from)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (row->scope == SETTINGS_PORT)
			value_copy(row, port_field(to, row), (const char *)from + row->offset);
	}
}

struct port *settings_port_new(const struct port *from)
{
	struct port *p = xzalloc(sizeof *p);

	p->layers = xzalloc(SETTINGS_COUNT);
	p->own = xzalloc(SETTINGS_COUNT);
	if (from) {
		memcpy(p->layers, from->layers, SETTINGS_COUNT);
		memcpy(p->own, from->own, SETTINGS_COUNT);
		copy_port(p, from);
		return p;
	}
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		if (settings_rows[i].scope == SETTINGS_PORT)
			set_default(&settings_rows[i], port_field(p, &settings_rows[i]));
	return p;
}

void settings_port_free(struct port *p)
{
	if (!p)
		return;
	port_fini(p);
	free(p);
}

void settings_fini(struct settings *s)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		if (settings_rows[i].scope == SETTINGS_SERVER)
			value_clear(&settings_rows[i], field_of(s, NULL, &settings_rows[i]));
	for (unsigned i = 0; i < s->n_ports; i++)
		port_fini(&s->ports[i]);
	port_fini(&s->template);
	free(s->ports);
	free(s->processes);
	free(s->layers);
	free((void *)s->script);
	free((void *)s->directory);
	shared_fini(&s->shared);
	*s = (struct settings){ 0 };
}

struct port *settings_add_port(struct settings *s, const char *host, uint16_t number, enum port_type type,
                               struct err *err)
{
	struct port *p;

	if (s->n_ports == SETTINGS_PORTS_MAX) {
		err_set(err, -ENOSPC, "a server can have %d ports, and this would be one more", SETTINGS_PORTS_MAX);
		return NULL;
	}
	if (strlen(host) >= sizeof p->host) {
		err_set(err, -ENAMETOOLONG, "the host \"%.40s...\" of a port is %zu bytes long, but at most %zu fit",
		        host, strlen(host), sizeof p->host - 1);
		return NULL;
	}
	if (!s->ports)
		s->ports = xzalloc(SETTINGS_PORTS_MAX * sizeof *s->ports);
	p = &s->ports[s->n_ports];
	*p = (struct port){ .number = number, .type = type, .index = s->n_ports++ };
	str_copy(str_from(host), p->host, sizeof p->host);
	p->layers = xalloc(SETTINGS_COUNT);
	memcpy(p->layers, s->template.layers, SETTINGS_COUNT);
	p->own = xzalloc(SETTINGS_COUNT);
	copy_port(p, &s->template);
	return p;
}

bool settings_keeps_connections(const struct settings *s)
{
	return s->dispatch_mode != DISPATCH_ROUND && s->dispatch_mode != DISPATCH_IDLE &&
	       s->dispatch_mode != DISPATCH_KEY;
}

uint16_t settings_port_number(const struct port *port)
{
	switch (port->address.len ? port->address.sa.sa_family : AF_UNSPEC) {
	case AF_INET:
		return ntohs(port->address.v4.sin_port);
	case AF_INET6:
		return ntohs(port->address.v6.sin6_port);
	default:
		return port->number;
	}
}

const char *settings_port_type_name(enum port_type type)
{
	static const char *const names[PORT_TYPES] = { "tcp", "tcp6", "unix", "udp", "udp6", "unix_dgram" };

	return names[type];
}

const char *settings_port_protocol(const struct port *p)
{
	const struct settings_names *n = settings_protocols;

	if (settings_port_is_dgram(p))
		return "udp";
	while (n->value != p->protocol)
		n++; /* every protocol has a name */
	return n->name;
}

const char *settings_port_text(const struct port *p, char *out)
{
	struct str host = str_from(p->host);

	if (settings_port_is_unix(p) && str_starts(host, LS_STR("unix:")))
		host = str_skip(host, 5);
	if (settings_port_is_unix(p))
		snprintf(out, SETTINGS_PORT_TEXT_MAX, "port unix:%.*s", LS_STR_ARG(host));
	else if (p->number == 0)
		snprintf(out, SETTINGS_PORT_TEXT_MAX, "port 0 of %.*s", LS_STR_ARG(host));
	else
		snprintf(out, SETTINGS_PORT_TEXT_MAX, "port %u", p->number);
	return out;
}

unsigned settings_length_size(int type)
{
	if (type == 'c' || type == 'C')
		return 1;
	if (strchr("sSnv", type))
		return 2;
	return strchr("lLNV", type) ? 4 : 8;
}

const struct settings_row *settings_find(const char *name)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++)
		if (strcmp(settings_rows[i].name, name) == 0)
			return &settings_rows[i];
	return NULL;
}

/* The setting whose name is so near that it may have been meant, or NULL. */
static const struct settings_row *nearest(const char *name)
{
	const struct settings_row *best = NULL;
	size_t len = strlen(name);
	unsigned limit = (unsigned)LS_MAX(len / 3, 2) + 1;

	if (len == 0 || len > NAME_MAX_LENGTH)
		return NULL;
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		unsigned distance = str_distance(str_from(name), str_from(settings_rows[i].name));

		if (distance < limit) {
			limit = distance;
			best = &settings_rows[i];
		}
	}
	return best;
}

static int unknown_name(const char *name, struct err *err)
{
	const struct settings_row *meant = nearest(name);
	char shown[128];

	str_escape(str_from(name), shown, sizeof shown);
	if (meant)
		return err_set(err, -ENOENT, "unknown setting \"%s\"; did you mean \"%s\"?", shown, meant->name);
	return err_set(err, -ENOENT, "unknown setting \"%s\"; \"luaserv settings\" lists those there are", shown);
}

/* Gives a port the template's value, unless its own one is at least as strong. */
static void inherit(struct port *p, struct port *template, unsigned i)
{
	const struct settings_row *row = &settings_rows[i];

	if (p->layers[i] > template->layers[i] || (p->own[i] && p->layers[i] == template->layers[i]))
		return;
	value_copy(row, port_field(p, row), port_field(template, row));
	p->layers[i] = template->layers[i];
	p->own[i] = 0;
}

static bool is_protocol(struct str text)
{
	for (const struct settings_names *n = settings_protocols; n->name; n++)
		if (str_ieq(text, str_from(n->name)))
			return true;
	return false;
}

/* Of the kind that require() takes, if it is no protocol of ours. */
static bool is_module_name(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!isalnum((unsigned char)text.p[i]) && !strchr("._-", text.p[i]))
			return false;
	return text.len > 0 && !isdigit((unsigned char)text.p[0]) && !is_protocol(text);
}

static int set_protocol_module(struct settings *s, struct port *port, struct str module, enum settings_layer layer,
                               struct err *err)
{
	int r = settings_set(s, port, "protocol_module", module, layer, err);

	return r < 0 ? r : settings_set(s, port, "protocol", LS_STR("lua"), layer, err);
}

int settings_set(struct settings *s, struct port *port, const char *name, struct str text, enum settings_layer layer,
                 struct err *err)
{
	const struct settings_row *row = settings_find(name);
	union value ignored = { 0 };
	uint8_t *layers;
	unsigned i;
	int r;

	if (!row)
		return unknown_name(name, err);
	if (row->scope == SETTINGS_SERVER && port)
		return err_set(err, -EINVAL, "%s belongs to the server and cannot be set for one port", name);
	i = (unsigned)(row - settings_rows);
	if (i == SETTING_protocol && is_module_name(text))
		return set_protocol_module(s, port, text, layer, err);
	layers = row->scope == SETTINGS_SERVER ? s->layers : port ? port->layers : s->template.layers;
	if (layers[i] > layer) {
		r = value_parse(row, text, &ignored, err);
		value_clear(row, &ignored);
		return r;
	}
	r = value_parse(row, text, field_of(s, port, row), err);
	if (r < 0)
		return r;
	layers[i] = (uint8_t)layer;
	if (port)
		port->own[i] = 1;
	else if (row->scope == SETTINGS_PORT)
		for (unsigned k = 0; k < s->n_ports; k++)
			inherit(&s->ports[k], &s->template, i);
	return 0;
}

const void *settings_field(const struct settings *s, const struct port *port, const struct settings_row *row)
{
	if (row->scope == SETTINGS_SERVER)
		return (const char *)s + row->offset;
	return (const char *)(port ? port : &s->template) + row->offset;
}

enum settings_layer settings_layer_of(const struct settings *s, const struct port *port, const struct settings_row *row)
{
	const uint8_t *layers = row->scope == SETTINGS_SERVER ? s->layers : port ? port->layers : s->template.layers;

	return layers[row - settings_rows];
}

const char *settings_layer_name(enum settings_layer layer)
{
	static const char *const names[] = { "default", "file", "environment", "script", "option" };

	return layer < LS_COUNT(names) ? names[layer] : "unknown";
}

const char *settings_text(const struct settings *s, const struct port *port, const struct settings_row *row, char *out,
                          size_t cap)
{
	return value_print(row, settings_field(s, port, row), out, cap);
}

static bool is_other_variable(const char *name)
{
	for (size_t i = 0; i < LS_COUNT(other_variables); i++) {
		struct str other = str_from(other_variables[i]);

		if (str_ends(other, LS_STR("_")) ? str_starts(str_from(name), other) : str_eq(str_from(name), other))
			return true;
	}
	return false;
}

/* "WORKER_NUM=4", of the variable LUASERV_WORKER_NUM. */
static int read_variable(struct settings *s, const char *variable, struct err *err)
{
	struct str value = str_from(variable);
	struct str name = str_split(&value, '=');
	char upper[NAME_MAX_LENGTH + 1], lower[NAME_MAX_LENGTH + 1], shown[4 * NAME_MAX_LENGTH + 1];
	const struct settings_row *meant;
	size_t i;

	if (!value.p || value.len == 0)
		return 0;
	str_copy(name, upper, sizeof upper);
	if (is_other_variable(upper))
		return 0;
	for (i = 0; upper[i]; i++)
		lower[i] = upper[i] >= 'A' && upper[i] <= 'Z' ? (char)(upper[i] + 32) : upper[i];
	lower[i] = '\0';
	if (settings_find(lower)) {
		int r = settings_set(s, NULL, lower, value, LAYER_ENVIRONMENT, err);

		return r < 0 && err ? err_wrap(err, "environment variable LUASERV_%s", upper) : r;
	}
	str_escape(str_from(upper), shown, sizeof shown);
	meant = nearest(lower);
	if (meant)
		return err_set(err, -ENOENT, "environment variable LUASERV_%s names no setting; did you mean \"%s\"?",
		               shown, meant->name);
	return err_set(err, -ENOENT, "environment variable LUASERV_%s names no setting", shown);
}

int settings_read_environment(struct settings *s, struct err *err)
{
	static const char prefix[] = "LUASERV_";

	for (char **v = environ; v && *v; v++) {
		int r;

		if (strncmp(*v, prefix, sizeof prefix - 1) != 0)
			continue;
		r = read_variable(s, *v + sizeof prefix - 1, err);
		if (r < 0)
			return r;
	}
	return 0;
}
