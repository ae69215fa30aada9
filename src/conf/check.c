/* The rules across settings.  Each is a function that names everything that contradicts. */
#include "base/bits.h"
#include "conf/key.h"
#include "conf/network.h"
#include "conf/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool has_event(const struct port *p, enum settings_event event)
{
	return (p->events & (UINT64_C(1) << event)) != 0;
}

static int check_has_port(const struct settings *s, struct err *err)
{
	bool has_work = s->n_processes > 0 || s->events & (1ULL << EVENT_worker_start) ||
	                (s->task_worker_num > 0 && s->message_queue_key);

	if (s->n_ports > 0 || has_work)
		return 0;
	return err_set(
		err, -EINVAL,
		"the script opens no port, and has no user process, no worker_start handler and no tasks of a queue: there is "
		"nothing to do");
}

static int check_ring_size(const struct settings *s, struct err *err)
{
	char size[32], next[32];
	const struct settings_row *row = &settings_rows[SETTING_ring_size];
	uint64_t up = pow2_up(s->ring_size);

	if (up == s->ring_size)
		return 0;
	return err_set(err, -EINVAL, "ring_size is %s, but it must be a power of two; %s is the next",
	               value_print(row, &s->ring_size, size, sizeof size), value_print(row, &up, next, sizeof next));
}

static int check_base_workers(const struct settings *s, struct err *err)
{
	if (s->mode != MODE_BASE || s->worker_num <= SETTINGS_BASE_WORKERS_MAX)
		return 0;
	return err_set(err, -EINVAL, "worker_num is %" PRIu64 ", but mode base can have %d workers at most",
	               s->worker_num, SETTINGS_BASE_WORKERS_MAX);
}

static int check_task_workers(const struct settings *s, struct err *err)
{
	if (s->task_worker_num > 0 && s->mode == MODE_SINGLE)
		return err_set(err, -EINVAL,
		               "task_worker_num is %" PRIu64
		               ", but mode single is one process; say task_worker_num=0 with it",
		               s->task_worker_num);
	if (s->task_worker_num == 0 || s->events & 1ULL << EVENT_task)
		return 0;
	return err_set(err, -EINVAL,
	               "task_worker_num is %" PRIu64 ", but the script has no task handler; say server:on(\"task\", …)",
	               s->task_worker_num);
}

static int check_task_queue(const struct settings *s, struct err *err)
{
	if (s->message_queue_key == 0 || s->task_ipc_mode != TASK_IPC_DIRECT)
		return 0;
	return err_set(err, -EINVAL,
	               "message_queue_key is %" PRIu64
	               ", but with task_ipc_mode 1 no task goes through a queue; say task_ipc_mode 2 or 3",
	               s->message_queue_key);
}

static int check_processes(const struct settings *s, struct err *err)
{
	if (s->n_processes == 0 || s->mode != MODE_SINGLE)
		return 0;
	return err_set(err, -EINVAL,
	               "the script adds %u user processes, but mode single is one process; use mode process or base",
	               s->n_processes);
}

static bool same_address(const struct port *a, const struct port *b)
{
	struct sock_addr x, y;
	char x_text[SOCK_TEXT_MAX], y_text[SOCK_TEXT_MAX];

	if (!settings_port_is_unix(a) && settings_port_is_dgram(a) != settings_port_is_dgram(b))
		return false;
	if (!settings_port_is_unix(a) && a->number == 0)
		return false; /* the kernel gives each its own */
	if (sock_parse(a->host, a->number, &x, NULL) < 0 || sock_parse(b->host, b->number, &y, NULL) < 0)
		return false;
	return str_eq(str_from(sock_text(&x, x_text)), str_from(sock_text(&y, y_text)));
}

static int check_distinct_ports(const struct settings *s, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	for (unsigned i = 0; i < s->n_ports; i++)
		for (unsigned k = 0; k < i; k++)
			if (same_address(&s->ports[i], &s->ports[k]))
				return err_set(err, -EINVAL, "%s of %s is opened twice",
				               settings_port_text(&s->ports[i], name), s->ports[i].host);
	return 0;
}

static int check_address(const struct settings *s, const struct port *p, struct err *err)
{
	struct sock_addr addr;
	char name[SETTINGS_PORT_TEXT_MAX];
	int r = sock_parse(p->host, p->number, &addr, err);

	(void)s;
	settings_port_text(p, name);
	if (r < 0)
		return err ? err_wrap(err, "%s", name) : r;
	if ((p->type == PORT_TCP6 || p->type == PORT_UDP6) && addr.sa.sa_family != AF_INET6)
		return err_set(err, -EINVAL, "%s is of type %s, but its host \"%s\" is not an IPv6 address", name,
		               settings_port_type_name(p->type), p->host);
	if (settings_port_is_unix(p) != (addr.sa.sa_family == AF_UNIX))
		return err_set(err, -EINVAL, "%s is of type %s, but its host is \"%s\"", name,
		               settings_port_type_name(p->type), p->host);
	return 0;
}

static int check_protocol(const struct port *p, struct err *err)
{
	const struct {
		bool on;
		const char *name;
		int protocol;
	} open_names[] = {
		{ p->open_eof_check, "open_eof_check", PROTOCOL_EOF },
		{ p->open_eof_split, "open_eof_split", PROTOCOL_EOF },
		{ p->open_length_check, "open_length_check", PROTOCOL_LENGTH },
		{ p->open_http_protocol, "open_http_protocol", PROTOCOL_HTTP },
		{ p->open_websocket_protocol, "open_websocket_protocol", PROTOCOL_WEBSOCKET },
	};
	const char *other = NULL;

	for (size_t i = 0; i < LS_COUNT(open_names); i++)
		if (open_names[i].on && open_names[i].protocol == p->protocol)
			other = open_names[i].name;
	for (size_t i = 0; i < LS_COUNT(open_names); i++) {
		if (!open_names[i].on || open_names[i].protocol == p->protocol)
			continue;
		if (other)
			return err_set(err, -EINVAL, "%s and %s are both on, but a port speaks one protocol", other,
			               open_names[i].name);
		return err_set(err, -EINVAL, "protocol is %s, but %s is on; say one of the two",
		               settings_port_protocol(p), open_names[i].name);
	}
	return 0;
}

static int check_eof(const struct port *p, struct err *err)
{
	if (p->protocol != PROTOCOL_EOF || p->package_eof.len <= p->package_max_length)
		return 0;
	return err_set(err, -EINVAL,
	               "package_eof has %zu bytes, but package_max_length is only %" PRIu64 ", so no message would fit",
	               p->package_eof.len, p->package_max_length);
}

static int check_length(const struct port *p, struct err *err)
{
	unsigned size = settings_length_size(p->package_length_type);
	uint64_t end = p->package_length_offset + size;

	if (p->protocol != PROTOCOL_LENGTH)
		return 0;
	if (end > p->package_max_length)
		return err_set(err, -EINVAL,
		               "the length field is %u bytes at package_length_offset %" PRIu64 " and ends at %" PRIu64
		               ", but package_max_length is only %" PRIu64,
		               size, p->package_length_offset, end, p->package_max_length);
	if (p->package_body_offset > p->package_max_length)
		return err_set(err, -EINVAL,
		               "package_body_offset is %" PRIu64 ", but package_max_length is only %" PRIu64,
		               p->package_body_offset, p->package_max_length);
	return 0;
}

static int (*const framing_rules[])(const struct port *p, struct err *err) = { check_protocol, check_eof,
	                                                                       check_length };

int settings_check_framing(const struct port *p, struct err *err)
{
	for (size_t i = 0; i < LS_COUNT(framing_rules); i++) {
		int r = framing_rules[i](p, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_framing(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];
	int r = settings_check_framing(p, err);

	(void)s;
	return r < 0 && err ? err_wrap(err, "%s", settings_port_text(p, name)) : r;
}

static enum settings_event needed_handler(const struct port *p)
{
	if (settings_port_is_dgram(p))
		return EVENT_packet;
	switch (p->protocol) {
	case PROTOCOL_HTTP:
		return EVENT_request;
	case PROTOCOL_WEBSOCKET:
		return EVENT_message;
	default:
		return EVENT_receive;
	}
}

static int check_handler(const struct settings *s, const struct port *p, struct err *err)
{
	enum settings_event needed = needed_handler(p);
	char name[SETTINGS_PORT_TEXT_MAX];

	(void)s;
	if (has_event(p, needed) || (needed == EVENT_request && settings_port_has_files(p)))
		return 0;
	return err_set(err, -EINVAL, "%s speaks %s, but the script registers no \"%s\" handler",
	               settings_port_text(p, name), settings_port_protocol(p), settings_event_name((int)needed));
}

/* Where messages of one connection go to any worker, connect and close could arrive out of order with them.  Swoole
 * leaves these events out without a word; so a handler for them is refused. */
static int check_dispatch_events(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX], mode[16];
	enum settings_event event = has_event(p, EVENT_connect) ? EVENT_connect : EVENT_close;

	if (s->mode != MODE_PROCESS || settings_keeps_connections(s) || !has_event(p, event))
		return 0;
	return err_set(
		err, -EINVAL,
		"%s has a \"%s\" handler, but with dispatch_mode %s the events of one connection go to several workers,"
		" so there is no \"%s\" event; use dispatch_mode fixed, ip, uid or least, or take the handler out",
		settings_port_text(p, name), settings_event_name((int)event),
		value_print(&settings_rows[SETTING_dispatch_mode], &s->dispatch_mode, mode, sizeof mode),
		settings_event_name((int)event));
}

static int check_dispatch_key(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];
	struct key key;
	bool http = settings_port_is_http(p);

	settings_port_text(p, name);
	if (p->dispatch_key[0] == '\0')
		return s->dispatch_mode != DISPATCH_KEY || s->mode != MODE_PROCESS
		               ? 0
		               : err_set(err, -EINVAL, "%s: dispatch_mode is key, but dispatch_key is empty; say %s",
		                         name,
		                         http ? "header:NAME, cookie:NAME or path:SEGMENTS" : "bytes:OFFSET:LENGTH");
	if (key_parse(str_from(p->dispatch_key), &key) < 0)
		return err_set(err, -EINVAL,
		               "%s: dispatch_key \"%s\" is not of the form header:NAME, cookie:NAME, path:SEGMENTS or"
		               " bytes:OFFSET:LENGTH",
		               name, p->dispatch_key);
	if (http == (key.kind != KEY_BYTES))
		return 0;
	return err_set(err, -EINVAL, "%s speaks %s, so its dispatch_key cannot be \"%s\"; say %s", name,
	               settings_port_protocol(p), p->dispatch_key,
	               http ? "header:NAME, cookie:NAME or path:SEGMENTS" : "bytes:OFFSET:LENGTH");
}

static int check_watermarks(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	(void)s;
	if (p->buffer_low_watermark < p->buffer_high_watermark && p->buffer_high_watermark <= p->socket_buffer_size)
		return 0;
	return err_set(err, -EINVAL,
	               "%s: buffer_low_watermark (%" PRIu64 ") must be less than buffer_high_watermark (%" PRIu64
	               "), and that at most socket_buffer_size (%" PRIu64 ")",
	               settings_port_text(p, name), p->buffer_low_watermark, p->buffer_high_watermark,
	               p->socket_buffer_size);
}

static int check_delay_receive(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	(void)s;
	settings_port_text(p, name);
	if (!p->enable_delay_receive || settings_port_is_dgram(p))
		return 0;
	if (settings_port_is_http(p))
		return err_set(err, -EINVAL, "%s: enable_delay_receive is for raw connections, but the port speaks %s",
		               name, settings_port_protocol(p));
	if (has_event(p, EVENT_connect))
		return 0;
	return err_set(
		err, -EINVAL,
		"%s: enable_delay_receive needs a \"connect\" handler, which calls server:confirm(fd), now or later",
		name);
}

/* Half a message waits in the worker that has the connection, so all of its pieces must go there. */
static int check_protocol_module(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX], mode[16];

	if (p->protocol != PROTOCOL_LUA)
		return 0;
	settings_port_text(p, name);
	if (!p->protocol_module[0])
		return err_set(err, -EINVAL,
		               "%s: protocol is lua, but protocol_module names no module; say protocol = \"my.module\"",
		               name);
	if (s->mode != MODE_PROCESS || settings_keeps_connections(s) || s->worker_num == 1)
		return 0;
	return err_set(err, -EINVAL,
	               "%s: protocol %s is written in Lua, so a worker gathers the pieces of a message, but with"
	               " dispatch_mode %s they go to several workers; use dispatch_mode fixed or worker_num 1",
	               name, p->protocol_module,
	               value_print(&settings_rows[SETTING_dispatch_mode], &s->dispatch_mode, mode, sizeof mode));
}

static int check_files(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];
	struct stat st;

	settings_port_text(p, name);
	for (unsigned i = 0; i < p->static_handler_locations.count; i++)
		if (p->static_handler_locations.items[i][0] != '/')
			return err_set(
				err, -EINVAL,
				"%s: \"%s\" in static_handler_locations is not the beginning of a path; say \"/%s\"",
				name, p->static_handler_locations.items[i], p->static_handler_locations.items[i]);
	if (!settings_port_has_files(p) || s->chroot[0])
		return 0; /* in a new root it is looked for when it is there */
	if (stat(p->document_root, &st) < 0)
		return err_set(err, -errno, "%s: document_root %s: %s", name, p->document_root, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s: document_root %s is no folder", name, p->document_root);
	return 0;
}

/* The messages of a WebSocket are one conversation. */
static int check_websocket(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX], mode[16];

	if (p->protocol != PROTOCOL_WEBSOCKET || s->mode != MODE_PROCESS || settings_keeps_connections(s) ||
	    s->worker_num == 1)
		return 0;
	return err_set(
		err, -EINVAL,
		"%s speaks websocket, but with dispatch_mode %s the messages of one connection go to several workers; use"
		" dispatch_mode auto, fixed, ip, uid or least",
		settings_port_text(p, name),
		value_print(&settings_rows[SETTING_dispatch_mode], &s->dispatch_mode, mode, sizeof mode));
}

static int check_proxy_protocol(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];
	struct network n;

	(void)s;
	settings_port_text(p, name);
	for (unsigned i = 0; i < p->proxy_protocol_trusted.count; i++)
		if (network_parse(str_from(p->proxy_protocol_trusted.items[i]), &n) < 0)
			return err_set(
				err, -EINVAL,
				"%s: \"%s\" in proxy_protocol_trusted is not a network such as 10.0.0.0/8, ::1 or unix:",
				name, p->proxy_protocol_trusted.items[i]);
	if (!p->proxy_protocol || settings_port_is_dgram(p) || p->proxy_protocol_trusted.count > 0)
		return 0;
	return err_set(err, -EINVAL,
	               "%s: proxy_protocol is on, but proxy_protocol_trusted names nobody who may use it; say the load"
	               " balancers' networks, such as 10.0.0.0/8",
	               name);
}

/* A message of a raw port must fit behind a full ring as a whole; HTTP bodies travel in pieces. */
static int check_message_fits_link(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	if (p->protocol == PROTOCOL_HTTP || p->package_max_length <= s->link_backlog_size / 2)
		return 0;
	return err_set(err, -EINVAL,
	               "%s: package_max_length is %" PRIu64
	               ", but it may be at most half of link_backlog_size (%" PRIu64
	               "), since a message waits there as a whole",
	               settings_port_text(p, name), p->package_max_length, s->link_backlog_size);
}

static int check_http_head(const struct settings *s, const struct port *p, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];

	(void)s;
	if (!settings_port_is_http(p) || p->http_max_target_size <= p->http_max_header_size)
		return 0;
	return err_set(err, -EINVAL,
	               "%s: http_max_target_size is %" PRIu64
	               ", but the target is part of the head, and http_max_header_size is"
	               " only %" PRIu64,
	               settings_port_text(p, name), p->http_max_target_size, p->http_max_header_size);
}

static int (*const server_rules[])(const struct settings *s, struct err *err) = {
	check_has_port,   check_ring_size, check_base_workers,   check_task_workers,
	check_task_queue, check_processes, check_distinct_ports,
};

static int (*const port_rules[])(const struct settings *s, const struct port *p, struct err *err) = {
	check_address,         check_framing,       check_handler,        check_dispatch_events,   check_dispatch_key,
	check_watermarks,      check_delay_receive, check_proxy_protocol, check_message_fits_link, check_http_head,
	check_protocol_module, check_websocket,     check_files,
};

int settings_check(const struct settings *s, struct err *err)
{
	for (size_t i = 0; i < LS_COUNT(server_rules); i++) {
		int r = server_rules[i](s, err);

		if (r < 0)
			return r;
	}
	for (unsigned k = 0; k < s->n_ports; k++) {
		for (size_t i = 0; i < LS_COUNT(port_rules); i++) {
			int r = port_rules[i](s, &s->ports[k], err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}
