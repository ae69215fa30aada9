/* What settings that were left open stand for on this machine: "auto", Swoole's open_* names, relative paths. */
#include "base/bits.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "conf/settings.h"
#include "sys/fd.h"
#include "sys/proc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	AUTO_REACTORS_MAX = 8,
	AUTO_CONNECTIONS_MAX = 100000,
	FDS_RESERVED = 64,  /* of the process, for logs, files, the loop */
	FDS_PER_WORKER = 8, /* memory, bells, inbox and control socket of a worker */
};

static uint64_t auto_connections(const struct settings *s)
{
	uint64_t fds = fd_raise_limit();
	uint64_t reserved = FDS_RESERVED + FDS_PER_WORKER * crew_count(s);
	uint64_t left = fds > 2 * reserved ? fds - reserved : fds / 2;

	return LS_MIN(LS_MAX(left, 1), (uint64_t)AUTO_CONNECTIONS_MAX);
}

static void resolve_counts(struct settings *s)
{
	uint64_t cpus = proc_cpu_count();
	uint64_t most_workers =
		s->mode == MODE_BASE ? SETTINGS_BASE_WORKERS_MAX : settings_rows[SETTING_worker_num].max;

	if (s->worker_num == VALUE_AUTO)
		s->worker_num = LS_MIN(cpus, most_workers);
	if (s->mode == MODE_SINGLE)
		s->worker_num = 1; /* so that -o mode=single debugs an app as it is */
	if (s->task_max_request_grace == VALUE_AUTO)
		s->task_max_request_grace = s->task_max_request / 2;
	if (s->reactor_num == VALUE_AUTO)
		s->reactor_num = LS_MIN(cpus, (uint64_t)AUTO_REACTORS_MAX);
	s->reactor_num = LS_MIN(s->reactor_num, s->worker_num);
	if (s->max_request_grace == VALUE_AUTO)
		s->max_request_grace = s->max_request / 2;
	if (s->max_connection == VALUE_AUTO)
		s->max_connection = auto_connections(s);
}

static int make_absolute(const char *directory, const struct settings_row *row, const char **path, struct err *err)
{
	struct str relative = str_from(*path);
	char whole[VALUE_LENGTH_MAX + 1];
	int len;

	if (relative.len == 0 || relative.p[0] == '/')
		return 0;
	if (!directory)
		return err_set(err, -EINVAL,
		               "%s is the relative path %s, but the directory it starts from is not known", row->name,
		               *path);
	while (str_starts(relative, LS_STR("./")))
		relative = str_skip(relative, 2);
	len = snprintf(whole, sizeof whole, "%s/%.*s", directory, LS_STR_ARG(relative));
	if (len < 0 || (size_t)len >= sizeof whole)
		return err_set(err, -ENAMETOOLONG, "%s, made absolute, is longer than %d bytes", row->name,
		               VALUE_LENGTH_MAX);
	free((void *)*path);
	*path = xstrdup(whole);
	return 0;
}

/* access_log is a file, "stdout" or off; Lua's false is off. */
static int resolve_access_log(struct settings *s, struct err *err)
{
	static const char *const off[] = { "", "off", "false", "no", "0" };
	static const char *const on[] = { "on", "true", "yes", "1" };
	struct str text = str_from(s->access_log);

	for (size_t i = 0; i < LS_COUNT(off); i++) {
		if (!str_ieq(text, str_from(off[i])))
			continue;
		free((void *)s->access_log);
		s->access_log = xstrdup("off");
		return 0;
	}
	for (size_t i = 0; i < LS_COUNT(on); i++)
		if (str_ieq(text, str_from(on[i])))
			return err_set(err, -EINVAL, "access_log is \"%s\", but it must be a file, \"stdout\" or off",
			               s->access_log);
	if (str_eq(text, LS_STR("stdout")) || str_eq(text, LS_STR("stderr")))
		return 0;
	return make_absolute(s->directory, &settings_rows[SETTING_access_log], &s->access_log, err);
}

static int resolve_port_paths(struct settings *s, const struct settings_row *row, struct err *err)
{
	for (unsigned k = 0; k < s->n_ports; k++) {
		int r = make_absolute(s->directory, row, (const char **)((char *)&s->ports[k] + row->offset), err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int resolve_paths(struct settings *s, struct err *err)
{
	for (unsigned i = 0; i < SETTINGS_COUNT; i++) {
		const struct settings_row *row = &settings_rows[i];
		int r;

		if (row->kind != VALUE_PATH)
			continue;
		r = row->scope == SETTINGS_SERVER
		            ? make_absolute(s->directory, row, (const char **)((char *)s + row->offset), err)
		            : resolve_port_paths(s, row, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Swoole's names for protocols. */
static const struct open_name {
	enum settings_index index;
	enum settings_protocol protocol;
} open_names[] = {
	{ SETTING_open_eof_split, PROTOCOL_EOF },
	{ SETTING_open_eof_check, PROTOCOL_EOF },
	{ SETTING_open_length_check, PROTOCOL_LENGTH },
	{ SETTING_open_http_protocol, PROTOCOL_HTTP },
	{ SETTING_open_websocket_protocol, PROTOCOL_WEBSOCKET },
};

/* Swoole's derivation. */
static void resolve_heartbeat(struct port *p)
{
	if (p->heartbeat_idle_time == 0)
		p->heartbeat_idle_time = 2 * p->heartbeat_check_interval;
}

/* How much a setting of a port counts against another: by its layer, and within a layer what was said to the port
 * counts more than what was said to the server.  The first port is the server's own. */
static unsigned rank(const struct port *p, enum settings_index i)
{
	return p->layers[i] == LAYER_DEFAULT ? 0 : 2u * p->layers[i] + (p->index == 0 || p->own[i]);
}

/* The strongest statement about the protocol wins, so that a port may say `protocol = "http"` on a server that says
 * `open_eof_check = true`.  Contradictions of equal rank stay for settings_check() to refuse. */
static void resolve_protocol(struct port *p)
{
	unsigned best = rank(p, SETTING_protocol);

	for (size_t i = 0; i < LS_COUNT(open_names); i++) {
		const struct settings_row *row = &settings_rows[open_names[i].index];
		unsigned mine = rank(p, open_names[i].index);

		if (!*(bool *)((char *)p + row->offset) || mine <= best)
			continue;
		best = mine;
		p->protocol = (int)open_names[i].protocol;
		p->layers[SETTING_protocol] = p->layers[open_names[i].index];
		p->own[SETTING_protocol] = p->own[open_names[i].index];
	}
	for (size_t i = 0; i < LS_COUNT(open_names); i++) {
		bool *on = (bool *)((char *)p + settings_rows[open_names[i].index].offset);

		if (*on && p->protocol != (int)open_names[i].protocol && rank(p, open_names[i].index) < best)
			*on = false;
	}
}

/* Framing is for streams: what the server says of it is not meant for a port of datagrams. */
static void drop_protocol(struct port *p)
{
	p->protocol = PROTOCOL_TCP;
	for (size_t i = 0; i < LS_COUNT(open_names); i++)
		*(bool *)((char *)p + settings_rows[open_names[i].index].offset) = false;
}

void settings_resolve_port(struct port *p)
{
	if (settings_port_is_dgram(p))
		drop_protocol(p);
	else
		resolve_protocol(p);
	resolve_heartbeat(p);
	if (p->buffer_high_watermark == VALUE_AUTO)
		p->buffer_high_watermark = p->socket_buffer_size / 5 * 4;
	if (p->message_burst == VALUE_AUTO)
		p->message_burst = LS_MAX(p->message_rate, 1U);
	if (p->package_body_offset == VALUE_AUTO)
		p->package_body_offset = p->package_length_offset + settings_length_size(p->package_length_type);
	/* Who makes the head small does not have to think of its first line. */
	if (p->layers[SETTING_http_max_target_size] == LAYER_DEFAULT)
		p->http_max_target_size = LS_MIN(p->http_max_target_size, p->http_max_header_size);
}

int settings_resolve(struct settings *s, struct err *err)
{
	int r;

	resolve_counts(s);
	for (unsigned i = 0; i < s->n_ports; i++)
		settings_resolve_port(&s->ports[i]);
	r = resolve_access_log(s, err);
	return r < 0 ? r : resolve_paths(s, err);
}
