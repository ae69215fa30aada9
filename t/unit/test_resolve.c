/* t/unit/test_resolve.c — auto becomes a number, Swoole's names a protocol, relative paths absolute ones. */
#include "conf/resolve.c"

#include "tap.h"

static struct err err;

static void set(struct settings *s, struct port *p, const char *name, const char *text)
{
	if (settings_set(s, p, name, str_from(text), LAYER_SCRIPT, &err) < 0)
		ok(false, "%s", err.text);
}

static void numbers(void)
{
	struct settings s;
	struct port *p;

	settings_init(&s);
	p = settings_add_port(&s, "*", 1, PORT_TCP, &err);
	set(&s, NULL, "max_request", "1000");
	set(&s, p, "package_length_offset", "2");
	set(&s, p, "package_length_type", "n");
	ok(settings_resolve(&s, &err) == 0, "resolved");
	ok(s.worker_num >= 1 && s.worker_num <= 1024, "%d workers", (int)s.worker_num);
	ok(s.reactor_num >= 1 && s.reactor_num <= 8 && s.reactor_num <= s.worker_num, "%d reactors",
	   (int)s.reactor_num);
	ok(s.max_connection >= 1 && s.max_connection <= 100000, "%d connections", (int)s.max_connection);
	ok(s.max_request_grace == 500, "the grace is half of max_request");
	ok(p->package_body_offset == 4, "the body begins behind the length field");
	settings_fini(&s);
}

static void said_numbers_stay(void)
{
	struct settings s;
	struct port *p;

	settings_init(&s);
	p = settings_add_port(&s, "*", 1, PORT_TCP, &err);
	set(&s, NULL, "worker_num", "3");
	set(&s, NULL, "reactor_num", "200");
	set(&s, NULL, "package_body_offset", "0");
	set(&s, NULL, "max_request_grace", "0");
	set(&s, NULL, "max_request", "10");
	settings_resolve(&s, &err);
	ok(s.worker_num == 3 && s.reactor_num == 3, "there are no more reactors than workers");
	ok(p->package_body_offset == 0 && s.max_request_grace == 0, "a said 0 is not auto");
	set(&s, NULL, "mode", "single");
	settings_resolve(&s, &err);
	ok(s.worker_num == 1, "mode single has one worker, whatever the script says");
	settings_fini(&s);
}

static void sizes_of_length_fields(void)
{
	static const char types[] = "cCsSnvlLNVqQJP";
	static const unsigned sizes[] = { 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8 };

	for (size_t i = 0; types[i]; i++)
		ok(settings_length_size(types[i]) == sizes[i], "%c has %u bytes", types[i], sizes[i]);
}

static int protocol_of(const char *const *server, const char *const *own, struct settings *s)
{
	struct port *p;

	settings_init(s);
	settings_add_port(s, "*", 1, PORT_TCP, &err);
	p = settings_add_port(s, "*", 2, PORT_TCP, &err);
	for (; *server; server += 2)
		set(s, NULL, server[0], server[1]);
	for (; *own; own += 2)
		set(s, p, own[0], own[1]);
	settings_resolve(s, &err);
	return p->protocol;
}

static void protocols(void)
{
	const char *const none[] = { NULL };
	const char *const eof_check[] = { "open_eof_check", "true", NULL };
	const char *const eof_split[] = { "open_eof_check", "yes", "open_eof_split", "yes", NULL };
	const char *const length[] = { "open_length_check", "1", NULL };
	const char *const open_http[] = { "open_http_protocol", "true", NULL };
	const char *const http[] = { "protocol", "http", NULL };
	const char *const off[] = { "open_eof_check", "false", NULL };
	struct settings s;

	ok(protocol_of(none, none, &s) == PROTOCOL_TCP, "tcp is the default");
	settings_fini(&s);
	ok(protocol_of(eof_check, none, &s) == PROTOCOL_EOF && s.ports[1].open_eof_check,
	   "open_eof_check is inherited");
	settings_fini(&s);
	ok(protocol_of(none, eof_split, &s) == PROTOCOL_EOF, "open_eof_split");
	settings_fini(&s);
	ok(protocol_of(none, length, &s) == PROTOCOL_LENGTH && s.ports[0].protocol == PROTOCOL_TCP, "one port's own");
	settings_fini(&s);
	ok(protocol_of(eof_check, http, &s) == PROTOCOL_HTTP && !s.ports[1].open_eof_check,
	   "a port's own protocol wins over the server's open_eof_check");
	ok(s.ports[0].protocol == PROTOCOL_EOF, "which the first port keeps");
	settings_fini(&s);
	ok(protocol_of(http, eof_check, &s) == PROTOCOL_EOF, "and the other way round");
	ok(settings_resolve(&s, &err) == 0 && s.ports[1].protocol == PROTOCOL_EOF &&
	           s.ports[0].protocol == PROTOCOL_HTTP,
	   "resolving again changes nothing");
	settings_fini(&s);
	ok(protocol_of(eof_check, open_http, &s) == PROTOCOL_HTTP && !s.ports[1].open_eof_check,
	   "own open_http_protocol");
	settings_fini(&s);
	ok(protocol_of(eof_check, off, &s) == PROTOCOL_TCP, "a port may take it back");
	settings_fini(&s);
}

static void paths(void)
{
	struct settings s;

	settings_init(&s);
	set(&s, NULL, "log_file", "logs/error.log");
	set(&s, NULL, "pid_file", "./x.pid");
	set(&s, NULL, "access_log", "false");
	ok(settings_resolve(&s, &err) == -EINVAL, "%s", err.text);
	s.directory = xstrdup("/srv/app");
	ok(settings_resolve(&s, &err) == 0, "resolved");
	ok(strcmp(s.log_file, "/srv/app/logs/error.log") == 0, "%s", s.log_file);
	ok(strcmp(s.pid_file, "/srv/app/x.pid") == 0, "%s", s.pid_file);
	ok(s.chroot[0] == '\0', "empty stays empty");
	ok(strcmp(s.access_log, "off") == 0, "false is off");
	set(&s, NULL, "access_log", "true");
	ok(settings_resolve(&s, &err) == -EINVAL, "%s", err.text);
	set(&s, NULL, "access_log", "access.log");
	ok(settings_resolve(&s, &err) == 0, "an access log may be a file");
	ok(strcmp(s.access_log, "/srv/app/access.log") == 0, "%s", s.access_log);
	set(&s, NULL, "access_log", "stdout");
	ok(settings_resolve(&s, &err) == 0 && strcmp(s.access_log, "stdout") == 0, "stdout stays");
	settings_fini(&s);
}

static void small_heads(void)
{
	struct settings s;
	struct port *p;

	settings_init(&s);
	p = settings_add_port(&s, "*", 1, PORT_TCP, &err);
	set(&s, NULL, "http_max_header_size", "1k");
	settings_resolve(&s, &err);
	ok(p->http_max_target_size == 1024, "the default target size follows a smaller head");
	settings_fini(&s);
}

int main(void)
{
	numbers();
	said_numbers_stay();
	sizes_of_length_fields();
	protocols();
	paths();
	small_heads();
	return tap_done();
}
