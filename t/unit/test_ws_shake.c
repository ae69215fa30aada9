/* t/unit/test_ws_shake.c — the handshake: RFC 6455's own example, and what is refused. */
#include "proto/ws_shake.c"

#include "tap.h"

#include <stdlib.h>

static _Alignas(8) char image[4096];

/* A GET with these fields, a name and a value in turn. */
static struct http_view asking(const char *const *fields)
{
	struct http_head_builder b = { 0 };
	struct str parts[3];
	struct http_view v;
	size_t at = 0;

	http_head_begin(&b);
	b.head.method = HTTP_METHOD_GET;
	b.head.version_minor = 1;
	for (; fields[0]; fields += 2)
		http_head_add(&b, str_from(fields[0]), str_from(fields[1]));
	http_head_parts(&b, parts);
	for (int i = 0; i < 3; i++) {
		memcpy(image + at, parts[i].p, parts[i].len);
		at += parts[i].len;
	}
	http_head_fini(&b);
	if (http_head_check(str_make(image, at), &v) != 0)
		abort();
	return v;
}

#define KEY "sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="

int main(void)
{
	const char *sound[] = { "upgrade",
		                "h2c, WebSocket",
		                "connection",
		                "keep-alive, Upgrade",
		                "sec-websocket-version",
		                "13",
		                KEY,
		                "sec-websocket-protocol",
		                "chat, superchat",
		                NULL };
	const char *old[] = {
		"upgrade", "websocket", "connection", "upgrade", "sec-websocket-version", "8", KEY, NULL
	};
	const char *bare[] = { "upgrade", "websocket", "sec-websocket-version", "13", KEY, NULL };
	const char *twice[] = { "upgrade", "websocket", "connection", "upgrade", "sec-websocket-version",
		                "13",      KEY,         KEY,          NULL };
	const char *loose[] = { "upgrade",
		                "websocket",
		                "connection",
		                "upgrade",
		                "sec-websocket-version",
		                "13",
		                "sec-websocket-key",
		                "dGhlIHNhbXBsZSBub25jZR==",
		                NULL };
	const char *plain[] = { "host", "x", NULL };
	char accept[WS_ACCEPT_LENGTH];
	struct http_view v = asking(sound);

	ok(ws_shake_is_asked(&v) && ws_shake_check(&v) == 0, "a sound one");
	ok(str_eq(ws_shake_accept(&v, accept), LS_STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")), "the example of RFC 6455 §1.3");
	ok(ws_shake_offers(&v, LS_STR("superchat")) && !ws_shake_offers(&v, LS_STR("super")), "sub-protocols");
	v = asking(old);
	ok(ws_shake_check(&v) == 426, "another version");
	v = asking(bare);
	ok(ws_shake_check(&v) == 400, "without Connection");
	v = asking(twice);
	ok(ws_shake_check(&v) == 400, "two keys");
	v = asking(loose);
	ok(ws_shake_check(&v) == 400, "a key whose last digit says too much");
	v = asking(plain);
	ok(!ws_shake_is_asked(&v), "none");
	return tap_done();
}
