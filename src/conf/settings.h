/* The settings of one server, all names and types from settings.def.
 *
 * Layers, later wins: built-in, -c file, environment (LUASERV_<NAME>), the script's set(), -o.  A struct settings is
 * filled by settings_set(), completed by settings_resolve() and checked by settings_check(), in this order; from then
 * on it is read-only for every thread.
 *
 * Inheritance, by name: what is given to the server holds for every port that was not given the same name itself in
 * the same layer; a later layer's value for the server wins over an earlier one's for the port.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "conf/shared.h"
#include "conf/userproc.h"
#include "conf/value.h"
#include "sys/sock.h"

#include <stdbool.h>
#include <stdint.h>

/* Field types by the type column of settings.def. */
#define SETTINGS_TYPE_BOOL bool
#define SETTINGS_TYPE_UINT uint64_t
#define SETTINGS_TYPE_TIME uint64_t
#define SETTINGS_TYPE_SIZE uint64_t
#define SETTINGS_TYPE_STR const char *
#define SETTINGS_TYPE_PATH const char *
#define SETTINGS_TYPE_BYTES struct str
#define SETTINGS_TYPE_LIST struct settings_list
#define SETTINGS_TYPE_ENUM(names) int

enum settings_mode { MODE_PROCESS, MODE_BASE, MODE_SINGLE };
/* Up to 5 these are Swoole's numbers. */
enum settings_dispatch {
	DISPATCH_AUTO,
	DISPATCH_ROUND,
	DISPATCH_FIXED,
	DISPATCH_IDLE,
	DISPATCH_IP,
	DISPATCH_UID,
	DISPATCH_LEAST,
	DISPATCH_KEY,
};
enum settings_protocol { PROTOCOL_TCP, PROTOCOL_EOF, PROTOCOL_LENGTH, PROTOCOL_HTTP, PROTOCOL_LUA, PROTOCOL_WEBSOCKET };
enum settings_access_format { ACCESS_COMBINED, ACCESS_JSON };
/* Swoole's numbers. */
enum settings_task_ipc { TASK_IPC_DIRECT = 1, TASK_IPC_TARGETS, TASK_IPC_SHARED };
enum settings_worker_error { WORKER_ERROR_KEEP, WORKER_ERROR_CLOSE };
enum settings_buffer_policy { BUFFER_WAIT, BUFFER_DROP, BUFFER_CLOSE };
enum settings_request_body { REQUEST_BODY_BUFFER, REQUEST_BODY_STREAM };
/* Values of package_length_type are the letters themselves: 'N'. Those of log_level are enum log_level. */

enum settings_scope { SETTINGS_SERVER, SETTINGS_PORT };
enum settings_layer { LAYER_DEFAULT, LAYER_FILE, LAYER_ENVIRONMENT, LAYER_SCRIPT, LAYER_OPTION };
enum settings_reload { RELOAD_LIVE, RELOAD_LISTEN, RELOAD_WORKERS, RELOAD_RESTART };

enum port_type { PORT_TCP, PORT_TCP6, PORT_UNIX, PORT_UDP, PORT_UDP6, PORT_UNIX_DGRAM, PORT_TYPES };

enum {
	SETTINGS_PORTS_MAX = 64,
	SETTINGS_BASE_WORKERS_MAX = 256, /* a connection's id has 8 bits for its owner */
	SETTINGS_PORT_TEXT_MAX = SOCK_TEXT_MAX + 16,
};

/* Where each setting stands in settings_rows and in `layers`. */
enum settings_index {
#define SETTING(scope, type, name, ...) SETTING_##name,
#include "conf/settings.def"
#undef SETTING
	SETTINGS_COUNT,
};

/* Events an app may register, as bits of struct port.events and struct settings.events. */
enum settings_event {
#define EVENT(scope, name, doc) EVENT_##name,
#include "conf/events.def"
#undef EVENT
	EVENTS,
};

struct port {
	/* What listen() said. */
	char host[SOCK_TEXT_MAX];
	uint16_t number; /* 0: the kernel chooses; `address` then tells */
	enum port_type type;
	uint64_t events;          /* 1 << enum settings_event: handlers this port has, the server's included */
	struct sock_addr address; /* what was bound, filled by the master */
	unsigned index;           /* in settings.ports */
	uint8_t *layers;          /* by setting index: enum settings_layer it came from */
	uint8_t *own;             /* by setting index: 1 if it was given to this port, 0 if to the server or nobody */

#define SETTING_FIELD_SERVER(type, name)
#define SETTING_FIELD_PORT(type, name) SETTINGS_TYPE_##type name;
#define SETTING(scope, type, name, ...) SETTING_FIELD_##scope(type, name)
#include "conf/settings.def"
#undef SETTING
#undef SETTING_FIELD_SERVER
#undef SETTING_FIELD_PORT
};

struct settings {
	struct port *ports;   /* [n_ports], owned; a port stays where it is when others are added */
	struct port template; /* what ports added later start from */
	unsigned n_ports;
	struct userproc *processes; /* [n_processes], owned */
	unsigned n_processes;
	const char *script;        /* absolute path of the app script, owned */
	const char *directory;     /* working directory at start, absolute, owned */
	uint64_t events;           /* server-wide handlers */
	uint64_t generation;       /* of accepted reloads, from 1 */
	struct shared_list shared; /* tables, dicts, atomics, locks */
	uint8_t *layers;           /* by setting index */

#define SETTING_FIELD_SERVER(type, name) SETTINGS_TYPE_##type name;
#define SETTING_FIELD_PORT(type, name)
#define SETTING(scope, type, name, ...) SETTING_FIELD_##scope(type, name)
#include "conf/settings.def"
#undef SETTING
#undef SETTING_FIELD_SERVER
#undef SETTING_FIELD_PORT
};

/* One row of the table made from settings.def. */
struct settings_row {
	const char *name;
	const char *type; /* "bool", "uint", "time", "size", "string", "path", "list", "enum" */
	enum value_kind kind;
	enum settings_scope scope;
	enum settings_reload reload;
	const char *def;
	uint64_t min;
	uint64_t max;
	const char *doc;
	size_t offset;                      /* in struct settings or struct port */
	const struct settings_names *names; /* enums; NULL else */
};

extern const struct settings_row settings_rows[];
extern const unsigned settings_row_count;

/* All defaults, no ports. */
void settings_init(struct settings *s);
void settings_fini(struct settings *s);
/* A port with defaults.  NULL with a sentence when there are too many. */
struct port *settings_add_port(struct settings *s, const char *host, uint16_t number, enum port_type type,
                               struct err *err);

/* A port of no server, for its framing: with defaults, or a copy (`from` not NULL).  settings_set() takes it with `s` NULL. */
struct port *settings_port_new(const struct port *from);
/* NULL is ignored. */
void settings_port_free(struct port *p);
/* What settings_resolve() and settings_check() do about one port's framing; messages do not name the port. */
void settings_resolve_port(struct port *p);
int settings_check_framing(const struct port *p, struct err *err);

/* "port 9501", "port unix:/run/app.sock"; what messages call it.  `out` has SETTINGS_PORT_TEXT_MAX bytes. */
const char *settings_port_text(const struct port *p, char *out);
/* "tcp", "tcp6", "unix", "udp", "udp6", "unix_dgram": what server:listen() calls it. */
const char *settings_port_type_name(enum port_type type);
/* The name of its protocol: "http"; "udp" for ports of datagrams, which have none. */
const char *settings_port_protocol(const struct port *p);
static inline bool settings_port_is_unix(const struct port *p)
{
	return p->type == PORT_UNIX || p->type == PORT_UNIX_DGRAM;
}
static inline bool settings_port_is_dgram(const struct port *p)
{
	return p->type == PORT_UDP || p->type == PORT_UDP6 || p->type == PORT_UNIX_DGRAM;
}
/* It serves files of its own. */
static inline bool settings_port_has_files(const struct port *p)
{
	return p->document_root[0] && p->enable_static_handler;
}
/* HTTP, or what begins as HTTP. */
static inline bool settings_port_is_http(const struct port *p)
{
	return p->protocol == PROTOCOL_HTTP || p->protocol == PROTOCOL_WEBSOCKET;
}
/* Whether dispatch_mode keeps the events of one connection in one worker, so that it has connect and close. */
bool settings_keeps_connections(const struct settings *s);
/* Most bytes of one connection that a worker may hold back when its messages are made there (protocol lua); 0 for others. */
static inline uint64_t settings_port_held_max(const struct port *p)
{
	return p->protocol == PROTOCOL_LUA ? p->package_max_length + p->max_queued_bytes : 0;
}
/* Where it listens; port 0 is what the kernel chose, once it has. */
uint16_t settings_port_number(const struct port *p);

/* How many bytes the length field of a package_length_type has: 1, 2, 4 or 8. */
unsigned settings_length_size(int type);

/* By exact name; NULL if unknown. */
const struct settings_row *settings_find(const char *name);

/* Sets one value from text, checked for type and range.  `port` NULL: a PORT setting goes to the template that ports
 * added later start from, and to every present port that did not set it itself in this layer (Swoole: the server's
 * settings are the first port's, and inherited by ports that never call set()).
 * -ENOENT: unknown name, the sentence names the nearest; -EINVAL, -ERANGE: says what was expected and the range.
 * A value from a lower layer than the present one is checked, then ignored.
 * A list is given as its items with commas between them.
 * protocol also takes the name of a Lua module, which sets protocol to lua and protocol_module to the name. */
int settings_set(struct settings *s, struct port *port, const char *name, struct str text, enum settings_layer layer,
                 struct err *err);

/* The field of `row`, in `port` (NULL: the template) or in `s`, as its scope says; and the layer it came from. */
const void *settings_field(const struct settings *s, const struct port *port, const struct settings_row *row);
enum settings_layer settings_layer_of(const struct settings *s, const struct port *port,
                                      const struct settings_row *row);
/* "default", "file", "environment", "script", "option". */
const char *settings_layer_name(enum settings_layer layer);

/* The value as text, as settings_set() would take it; VALUE_TEXT_MAX bytes hold any.  Returns `out`. */
const char *settings_text(const struct settings *s, const struct port *port, const struct settings_row *row, char *out,
                          size_t cap);

/* Environment variables LUASERV_<NAME>; an empty one counts as not set, an unknown one is an error.
 * LUASERV_TEST_*, LUASERV_RUNTIME_DIR and others listed in settings.c are not settings. */
int settings_read_environment(struct settings *s, struct err *err);

/* resolve.c: replaces "auto" by what it stands for on this machine, derives protocol from Swoole's open_* names, makes
 * paths absolute against s->directory.  Doing it again changes nothing. */
int settings_resolve(struct settings *s, struct err *err);

/* The rules across settings (check.c), once they are resolved. */
int settings_check(const struct settings *s, struct err *err);

/* blob.c: all of it, ports and events included, as bytes (malloc'ed), and back into a struct that needs no
 * settings_init().  Version and checksum are verified; when thawing fails there is nothing to settings_fini(). */
int settings_freeze(const struct settings *s, char **out, size_t *len);
int settings_thaw(struct settings *s, struct str blob, struct err *err);

/* diff.c: what a reload to `to` would need.  Fills `why` with the names that need a restart (RELOAD_RESTART), e.g.
 * "worker_num (2 -> 4)"; added, removed or moved ports need a restart too.  RELOAD_LIVE if nothing differs. */
enum settings_reload settings_diff(const struct settings *from, const struct settings *to, struct err *why);

/* dump.c */
enum settings_dump { DUMP_TEXT, DUMP_CONF, DUMP_MARKDOWN, DUMP_JSON, DUMP_LUA, DUMP_MAN };
/* The whole reference (or, s != NULL with DUMP_TEXT/DUMP_JSON, the values with their layers) as a malloc'ed string. */
char *settings_dump(const struct settings *s, enum settings_dump format);
/* "markdown", "conf", "lua", "man", "json", "text"; -1 if unknown. */
int settings_dump_find(const char *name);
/* One setting as a malloc'ed text of several lines: its value (s != NULL) in the server or each port and the layer it
 * came from, type, range, default, what a change needs, and the doc. */
char *settings_explain(const struct settings *s, const struct settings_row *row);

/* events.c: "receive", case and a leading "on" ignored, camel case as well; -1 if unknown. */
int settings_event_find(struct str name);
const char *settings_event_name(int event);
bool settings_event_is_port(int event);
const char *settings_event_doc(int event);
/* The nearest event name, for messages; never NULL. */
const char *settings_event_nearest(struct str name);
