/* t/unit/test_proxy_header.c — headers of both versions, whole, cut short and garbled. */
#include "proto/proxy_header.c"

#include "tap.h"

static struct proxy_header h;
static char text[SOCK_TEXT_MAX];

static ssize_t parse(const char *line)
{
	return proxy_header_parse(str_from(line), &h);
}

static bool says(const char *ip, unsigned port)
{
	return h.has_peer && h.peer.port == port && strcmp(sock_peer_text(&h.peer, text), ip) == 0;
}

/* Every beginning of it asks for more, and what follows it is not looked at. */
static bool is_whole(struct str header)
{
	char longer[512];
	bool more = true;

	for (size_t n = 0; n < header.len; n++)
		more = more && proxy_header_parse(str_take(header, n), &h) == 0;
	memcpy(longer, header.p, header.len);
	memcpy(longer + header.len, "GET / HTTP/1.1\r\n", 16);
	return more && proxy_header_parse(str_make(longer, header.len + 16), &h) == (ssize_t)header.len;
}

static void version_1(void)
{
	static const char *const bad[] = {
		"PROXY\r\n",
		"PROXY TCP4\r\n",
		"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 ::1 ::2 1 2\r\n",
		"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXZ TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"GET / HTTP/1.1\r\n",
		"PROXY TCP4 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	bool refused = true;

	ok(is_whole(LS_STR("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n")) && says("192.0.2.1", 56324), "TCP4");
	ok(is_whole(LS_STR("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n")) && says("2001:db8::1", 1), "TCP6");
	ok(is_whole(LS_STR("PROXY UNKNOWN\r\n")) && !h.has_peer, "UNKNOWN");
	ok(parse("PROXY UNKNOWN ff 00 whatever it says\r\n") == 38 && !h.has_peer, "UNKNOWN and more");
	for (size_t i = 0; i < LS_COUNT(bad); i++)
		refused = refused && parse(bad[i]) == -EBADMSG && !says("1.2.3.4", 1);
	ok(refused, "nothing else");
}

static char v2[PROXY_HEADER_MAX + 64];

/* A header of version 2 with `len` bytes behind its fixed part. */
static struct str make(uint8_t command, uint8_t family, size_t len)
{
	memset(v2, 0, sizeof v2);
	memcpy(v2, v2_start, V2_START);
	v2[12] = (char)command;
	v2[13] = (char)family;
	v2[14] = (char)(len >> 8);
	v2[15] = (char)len;
	return str_make(v2, V2_FIXED + len);
}

static void version_2(void)
{
	static const uint8_t inet[] = { 192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0, 80 };
	struct str header = make(0x21, 0x11, sizeof inet);

	memcpy(v2 + V2_FIXED, inet, sizeof inet);
	ok(is_whole(header) && says("192.0.2.1", 0x1234), "IPv4");
	header = make(0x21, 0x21, V2_INET6);
	v2[V2_FIXED + 15] = 1;
	v2[V2_FIXED + 33] = 7;
	ok(is_whole(header) && says("::1", 7), "IPv6");
	ok(is_whole(make(0x21, 0x31, V2_UNIX)) && h.has_peer && h.peer.family == AF_UNIX, "a unix socket");
	ok(is_whole(make(0x20, 0x11, 12)) && !h.has_peer, "LOCAL");
	ok(is_whole(make(0x20, 0, 0)) && !h.has_peer, "LOCAL without anything");
	ok(is_whole(make(0x21, 0, 5)) && !h.has_peer, "no family: what stands there says nothing");
	ok(proxy_header_parse(make(0x21, 0x11, 11), &h) == -EBADMSG, "too short for its family");
	ok(proxy_header_parse(make(0x21, 0x12, 12), &h) == -EBADMSG, "datagrams");
	ok(proxy_header_parse(make(0x11, 0x11, 12), &h) == -EBADMSG, "another version");
	ok(proxy_header_parse(make(0x22, 0x11, 12), &h) == -EBADMSG, "another command");
	ok(proxy_header_parse(make(0x21, 0x11, PROXY_HEADER_MAX - V2_FIXED + 1), &h) == -EMSGSIZE,
	   "one that is too long");
}

static void tlvs(void)
{
	struct str header = make(0x21, 0x11, V2_INET + 7);
	char *tlv = v2 + V2_FIXED + V2_INET;
	uint32_t crc;

	tlv[0] = TLV_CRC32C;
	tlv[2] = 4;
	crc = crc32c(header, V2_FIXED + V2_INET + 3);
	for (unsigned i = 0; i < 4; i++)
		tlv[3 + i] = (char)(crc >> (24 - 8 * i));
	ok(is_whole(header) && h.has_peer, "a checksum that holds");
	v2[V2_FIXED] ^= 1;
	ok(proxy_header_parse(header, &h) == -EBADMSG, "one that does not");
	header = make(0x21, 0x11, V2_INET + 5);
	v2[V2_FIXED + V2_INET] = 5;
	v2[V2_FIXED + V2_INET + 2] = 2;
	ok(is_whole(header) && h.has_peer, "another record is passed over");
	v2[V2_FIXED + V2_INET + 2] = 3;
	ok(proxy_header_parse(header, &h) == -EBADMSG, "but must fit");
	ok(crc32c(LS_STR("123456789"), 100) == 0xe3069283, "the checksum is the one of RFC 3720");
}

int main(void)
{
	version_1();
	version_2();
	tlvs();
	return tap_done();
}
