/* t/unit/test_check.c — each rule across settings refuses with a sentence, and only what it should. */
#include "conf/check.c"

#include "tap.h"

static struct err err;

#define BIT(event) (UINT64_C(1) << EVENT_##event)

/* A server with one port, handlers and "name=value" settings; resolved and checked. */
static int check(struct settings *s, uint64_t events, const char *const *set)
{
	struct port *p;

	settings_init(s);
	p = settings_add_port(s, "127.0.0.1", 9501, PORT_TCP, &err);
	p->events = events;
	for (; *set; set++) {
		struct str value = str_from(*set);
		struct str name = str_split(&value, '=');
		char buf[64];

		str_copy(name, buf, sizeof buf);
		if (settings_set(s, NULL, buf, value, LAYER_SCRIPT, &err) < 0)
			ok(false, "%s", err.text);
	}
	settings_resolve(s, &err);
	err = (struct err){ 0 };
	return settings_check(s, &err);
}

#define SET(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void refused(const char *sentence, uint64_t events, const char *const *set)
{
	struct settings s;
	int r = check(&s, events, set);

	ok(r == -EINVAL && strcmp(err.text, sentence) == 0, "%s", err.text);
	settings_fini(&s);
}

static void fine(const char *what, uint64_t events, const char *const *set)
{
	struct settings s;
	int r = check(&s, events, set);

	ok(r == 0, "%s %s", what, err.text);
	settings_fini(&s);
}

static void server_rules_hold(void)
{
	refused("ring_size is 100k, but it must be a power of two; 128k is the next", BIT(receive),
	        SET("ring_size=100k"));
	refused("worker_num is 257, but mode base can have 256 workers at most", BIT(receive),
	        SET("mode=base", "worker_num=257"));
	fine("mode base has 256 workers", BIT(receive), SET("mode=base", "worker_num=256"));
	fine("mode process has 1024", BIT(receive), SET("worker_num=1024"));
	fine("more reactors than workers are fewer in the end", BIT(receive), SET("worker_num=1", "reactor_num=8"));
}

static void handlers_must_exist(void)
{
	refused("port 9501 speaks tcp, but the script registers no \"receive\" handler", 0, SET("worker_num=1"));
	refused("port 9501 speaks http, but the script registers no \"request\" handler", BIT(receive),
	        SET("protocol=http"));
	refused("port 9501 speaks eof, but the script registers no \"receive\" handler", BIT(request),
	        SET("open_eof_split=true"));
	fine("an http port with a request handler", BIT(request), SET("protocol=http"));
}

static void one_protocol_per_port(void)
{
	refused("port 9501: protocol is http, but open_eof_check is on; say one of the two", BIT(request),
	        SET("protocol=http", "open_eof_check=true"));
	refused("port 9501: open_eof_check and open_length_check are both on, but a port speaks one protocol",
	        BIT(receive), SET("open_eof_check=true", "open_length_check=true"));
	refused("port 9501: open_length_check and open_http_protocol are both on, but a port speaks one protocol",
	        BIT(receive), SET("open_length_check=true", "open_http_protocol=true"));
	fine("both of Swoole's names for eof", BIT(receive), SET("open_eof_check=true", "open_eof_split=true"));
	fine("a name and its protocol", BIT(receive), SET("open_length_check=true", "protocol=length"));
}

static void dispatch_rules_hold(void)
{
	refused("port 9501 has a \"close\" handler, but with dispatch_mode idle the events of one connection go to several"
	        " workers, so there is no \"close\" event; use dispatch_mode fixed, ip, uid or least, or take the handler out",
	        BIT(receive) | BIT(close), SET("dispatch_mode=3"));
	refused("port 9501 has a \"connect\" handler, but with dispatch_mode round the events of one connection go to"
	        " several workers, so there is no \"connect\" event; use dispatch_mode fixed, ip, uid or least, or take the handler out",
	        BIT(receive) | BIT(connect) | BIT(close), SET("dispatch_mode=round"));
	fine("receive alone", BIT(receive), SET("dispatch_mode=round"));
	fine("fixed dispatch", BIT(receive) | BIT(connect) | BIT(close), SET("dispatch_mode=fixed"));
	fine("mode base keeps connections with their worker", BIT(receive) | BIT(close),
	     SET("mode=base", "dispatch_mode=round"));
	refused("port 9501 has a \"close\" handler, but with dispatch_mode idle the events of one connection go to several"
	        " workers, so there is no \"close\" event; use dispatch_mode fixed, ip, uid or least, or take the handler out",
	        BIT(request) | BIT(close), SET("protocol=http", "dispatch_mode=idle"));
	refused("port 9501: dispatch_mode is key, but dispatch_key is empty; say bytes:OFFSET:LENGTH", BIT(receive),
	        SET("dispatch_mode=key"));
	refused("port 9501: dispatch_key \"user\" is not of the form header:NAME, cookie:NAME, path:SEGMENTS or bytes:OFFSET:LENGTH",
	        BIT(receive), SET("dispatch_key=user"));
	refused("port 9501 speaks http, so its dispatch_key cannot be \"bytes:0:4\"; say header:NAME, cookie:NAME or path:SEGMENTS",
	        BIT(request), SET("protocol=http", "dispatch_key=bytes:0:4"));
	refused("port 9501: buffer_low_watermark (2048) must be less than buffer_high_watermark (1024), and that at most socket_buffer_size"
	        " (2097152)",
	        BIT(receive), SET("buffer_high_watermark=1k", "buffer_low_watermark=2k"));
	refused("port 9501: enable_delay_receive needs a \"connect\" handler, which calls server:confirm(fd), now or later",
	        BIT(receive), SET("enable_delay_receive=true"));
	refused("port 9501: enable_delay_receive is for raw connections, but the port speaks http",
	        BIT(request) | BIT(connect), SET("enable_delay_receive=true", "protocol=http"));
	refused("port 9501: proxy_protocol is on, but proxy_protocol_trusted names nobody who may use it; say the load balancers' networks,"
	        " such as 10.0.0.0/8",
	        BIT(receive), SET("proxy_protocol=true"));
	refused("port 9501: \"10.0.0.0/40\" in proxy_protocol_trusted is not a network such as 10.0.0.0/8, ::1 or unix:",
	        BIT(receive), SET("proxy_protocol=true", "proxy_protocol_trusted=::1,10.0.0.0/40"));
	fine("a key that fits", BIT(request), SET("protocol=http", "dispatch_mode=key", "dispatch_key=cookie:sid"));
	refused("port 9501: package_max_length is 67108864, but it may be at most half of link_backlog_size (67108864), since"
	        " a message waits there as a whole",
	        BIT(receive), SET("package_max_length=64m"));
	fine("bodies travel in pieces", BIT(request), SET("protocol=http", "package_max_length=64m"));
}

static void protocols_in_lua_need_their_worker(void)
{
	refused("port 9501: protocol is lua, but protocol_module names no module; say protocol = \"my.module\"",
	        BIT(receive), SET("protocol=lua"));
	refused("port 9501: protocol my.module is written in Lua, so a worker gathers the pieces of a message, but with"
	        " dispatch_mode idle they go to several workers; use dispatch_mode fixed or worker_num 1",
	        BIT(receive), SET("protocol=my.module", "dispatch_mode=idle", "worker_num=2"));
	fine("one worker gets them all", BIT(receive), SET("protocol=my.module", "dispatch_mode=idle", "worker_num=1"));
	fine("fixed dispatch does", BIT(receive), SET("protocol=my.module", "worker_num=2"));
	fine("mode base does", BIT(receive), SET("protocol=my.module", "mode=base", "dispatch_mode=round"));
}

static void framing_fits(void)
{
	refused("port 9501: package_eof has 4 bytes, but package_max_length is only 3, so no message would fit",
	        BIT(receive), SET("protocol=eof", "package_max_length=3"));
	refused("port 9501: the length field is 4 bytes at package_length_offset 4 and ends at 8, but package_max_length is"
	        " only 7",
	        BIT(receive), SET("protocol=length", "package_length_offset=4", "package_max_length=7"));
	refused("port 9501: package_body_offset is 9, but package_max_length is only 8", BIT(receive),
	        SET("protocol=length", "package_body_offset=9", "package_max_length=8"));
	fine("a message that is all header", BIT(receive),
	     SET("protocol=length", "package_length_offset=4", "package_max_length=8"));
	refused("port 9501: http_max_target_size is 4096, but the target is part of the head, and http_max_header_size is"
	        " only 1024",
	        BIT(request), SET("protocol=http", "http_max_header_size=1k", "http_max_target_size=4k"));
	fine("a small head alone", BIT(request), SET("protocol=http", "http_max_header_size=1k"));
}

static void addresses_make_sense(void)
{
	struct settings s;

	check(&s, BIT(receive), SET("worker_num=1"));
	settings_add_port(&s, "127.0.0.1", 9501, PORT_TCP, &err)->events = BIT(receive);
	settings_resolve(&s, &err);
	ok(settings_check(&s, &err) == -EINVAL && strcmp(err.text, "port 9501 of 127.0.0.1 is opened twice") == 0, "%s",
	   err.text);
	s.ports[1].number = 0;
	s.ports[0].number = 0;
	ok(settings_check(&s, &err) == 0, "two ports that the kernel chooses differ");
	s.ports[1].type = PORT_TCP6;
	ok(settings_check(&s, &err) == -EINVAL, "%s", err.text);
	snprintf(s.ports[1].host, sizeof s.ports[1].host, "::1");
	ok(settings_check(&s, &err) == 0, "tcp6 on ::1");
	snprintf(s.ports[1].host, sizeof s.ports[1].host, "no such host");
	ok(settings_check(&s, &err) < 0, "%s", err.text);
	ok(settings_check(&s, NULL) < 0, "the same without a place for the sentence");
	snprintf(s.ports[1].host, sizeof s.ports[1].host, "/tmp/luaserv.sock");
	ok(settings_check(&s, &err) == -EINVAL, "%s", err.text);
	s.ports[1].type = PORT_UNIX;
	ok(settings_check(&s, &err) == 0, "a unix port on a path");
	s.n_ports = 0;
	ok(settings_check(&s, &err) == -EINVAL, "%s", err.text);
	s.n_ports = 2;
	settings_fini(&s);
}

int main(void)
{
	server_rules_hold();
	handlers_must_exist();
	one_protocol_per_port();
	dispatch_rules_hold();
	protocols_in_lua_need_their_worker();
	framing_fits();
	addresses_make_sense();
	return tap_done();
}
