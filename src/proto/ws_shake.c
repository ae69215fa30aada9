#include "proto/ws_shake.h"

#include "base/codec.h"

#include <mbedtls/sha1.h>
#include <mbedtls/version.h>

#if MBEDTLS_VERSION_MAJOR < 3
#define mbedtls_sha1 mbedtls_sha1_ret
#endif

enum { KEY_LENGTH = 24, SHA1_SIZE = 20 };

/* True: one of the comma-separated values of that field, in all its lines, is `wanted`. */
static bool has_token(const struct http_view *v, struct str name, struct str wanted,
                      bool (*same)(struct str, struct str))
{
	for (unsigned i = 0; i < v->head->n_fields; i++)
		if (str_eq(http_head_str(v, v->fields[i].name), name) &&
		    str_list_has(http_head_str(v, v->fields[i].value), wanted, same))
			return true;
	return false;
}

bool ws_shake_is_asked(const struct http_view *v)
{
	return has_token(v, LS_STR("upgrade"), LS_STR("websocket"), str_ieq);
}

bool ws_shake_offers(const struct http_view *v, struct str protocol)
{
	return has_token(v, LS_STR("sec-websocket-protocol"), protocol, str_eq);
}

/* 16 bytes in base64 (§4.1). */
static bool key_is_sound(struct str key)
{
	char bytes[KEY_LENGTH];

	return key.len == KEY_LENGTH && codec_base64_decode(key, bytes) == 16;
}

static unsigned count(const struct http_view *v, struct str name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < v->head->n_fields; i++)
		n += str_eq(http_head_str(v, v->fields[i].name), name);
	return n;
}

int ws_shake_check(const struct http_view *v)
{
	const struct http_head *head = v->head;

	if (head->method != HTTP_METHOD_GET || head->version_minor < 1 || head->flags & HTTP_CHUNKED ||
	    head->content_length)
		return 400;
	if (!has_token(v, LS_STR("connection"), LS_STR("upgrade"), str_ieq))
		return 400;
	if (count(v, LS_STR("sec-websocket-version")) != 1 || count(v, LS_STR("sec-websocket-key")) != 1)
		return 400;
	if (!str_eq(http_head_find(v, LS_STR("sec-websocket-version")), LS_STR("13")))
		return 426;
	return key_is_sound(http_head_find(v, LS_STR("sec-websocket-key"))) ? 0 : 400;
}

struct str ws_shake_accept(const struct http_view *v, char out[WS_ACCEPT_LENGTH])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct str key = http_head_find(v, LS_STR("sec-websocket-key"));
	unsigned char text[KEY_LENGTH + sizeof guid - 1], digest[SHA1_SIZE] = { 0 };

	memcpy(text, key.p, KEY_LENGTH);
	memcpy(text + KEY_LENGTH, guid, sizeof guid - 1);
	/* It can fail only in hardware that replaces it: the client then sees a wrong answer and leaves. */
	(void)mbedtls_sha1(text, sizeof text, digest);
	return str_make(out, codec_base64_encode(str_make(digest, sizeof digest), out));
}
