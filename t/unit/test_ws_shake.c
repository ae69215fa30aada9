/* t/unit/test_ws_shake.c — the handshake: RFC 6455's own example, and what is refused. */
#include "proto/ws_shake.c"

#include "head_stub.h"
#include "tap.h"

#define KEY "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n"

int main(void)
{
	const char *sound = "upgrade: h2c, WebSocket\nconnection: keep-alive, Upgrade\nsec-websocket-version: 13\n" KEY
			    "sec-websocket-protocol: chat, superchat";
	const char *old = "upgrade: websocket\nconnection: upgrade\nsec-websocket-version: 8\n" KEY;
	const char *bare = "upgrade: websocket\nsec-websocket-version: 13\n" KEY;
	const char *twice = "upgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\n" KEY KEY;
	const char *loose =
		"upgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZR==";
	char accept[WS_ACCEPT_LENGTH];
	struct http_view v = head_stub(sound);

	ok(ws_shake_is_asked(&v) && ws_shake_check(&v) == 0, "a sound one");
	ok(str_eq(ws_shake_accept(&v, accept), LS_STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")), "the example of RFC 6455 §1.3");
	ok(ws_shake_offers(&v, LS_STR("superchat")) && !ws_shake_offers(&v, LS_STR("super")), "sub-protocols");
	v = head_stub(old);
	ok(ws_shake_check(&v) == 426, "another version");
	v = head_stub(bare);
	ok(ws_shake_check(&v) == 400, "without Connection");
	v = head_stub(twice);
	ok(ws_shake_check(&v) == 400, "two keys");
	v = head_stub(loose);
	ok(ws_shake_check(&v) == 400, "a key whose last digit says too much");
	v = head_stub("host: x");
	ok(!ws_shake_is_asked(&v), "none");
	return tap_done();
}
