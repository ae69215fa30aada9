#include "proto/proxy_header.h"

#include "base/bits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

enum {
	V1_MAX = 107, /* §2.1, the line end included */
	V2_FIXED = 16,
	V2_INET = 12,
	V2_INET6 = 36,
	V2_UNIX = 216,
	TLV_CRC32C = 0x03,
};

static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";

enum { V1_START = sizeof v1_start - 1, V2_START = sizeof v2_start - 1 };

/* ---- version 1 ----------------------------------------------------------------------------------------------------- */

static int parse_port(struct str text, uint16_t *out)
{
	unsigned n = 0;

	if (text.len == 0 || text.len > 5 || (text.len > 1 && text.p[0] == '0'))
		return -EBADMSG;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EBADMSG;
		n = 10 * n + (unsigned)(text.p[i] - '0');
	}
	*out = (uint16_t)n;
	return n <= UINT16_MAX ? 0 : -EBADMSG;
}

static int parse_address(int family, struct str text, uint8_t ip[16])
{
	char copy[INET6_ADDRSTRLEN];

	return str_copy(text, copy, sizeof copy) && inet_pton(family, copy, ip) == 1 ? 0 : -EBADMSG;
}

/* "TCP4 SOURCE DESTINATION SOURCE_PORT DESTINATION_PORT" */
static int parse_line(struct str line, struct proxy_header *out)
{
	struct str word = str_split(&line, ' ');
	uint8_t destination[16] = { 0 };
	uint16_t destination_port;
	int family = str_eq(word, LS_STR("TCP4")) ? AF_INET : str_eq(word, LS_STR("TCP6")) ? AF_INET6 : AF_UNSPEC;

	if (str_eq(word, LS_STR("UNKNOWN")))
		return 0;
	if (family == AF_UNSPEC)
		return -EBADMSG;
	out->peer.family = (uint8_t)family;
	if (parse_address(family, str_split(&line, ' '), out->peer.ip) < 0 ||
	    parse_address(family, str_split(&line, ' '), destination) < 0 ||
	    parse_port(str_split(&line, ' '), &out->peer.port) < 0 || parse_port(line, &destination_port) < 0)
		return -EBADMSG;
	out->has_peer = true;
	return 0;
}

static ssize_t parse_v1(struct str in, struct proxy_header *out)
{
	ssize_t end = str_find(str_take(in, V1_MAX), LS_STR("\r\n"));
	int r;

	if (end < 0)
		return in.len < V1_MAX ? 0 : -EBADMSG;
	r = parse_line(str_skip(str_take(in, (size_t)end), V1_START), out);
	return r < 0 ? r : end + 2;
}

/* ---- version 2 ----------------------------------------------------------------------------------------------------- */

static unsigned get_u16(const char *p)
{
	return (unsigned)(uint8_t)p[0] << 8 | (uint8_t)p[1];
}

/* CRC32c (RFC 3720, appendix B.4) of the header as if its checksum were zero. */
static uint32_t crc32c(struct str header, size_t zero_at)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < header.len; i++) {
		crc ^= i - zero_at < 4 ? 0 : (uint8_t)header.p[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static int check_checksum(struct str header, size_t at)
{
	const uint8_t *p = (const uint8_t *)header.p + at;
	uint32_t said = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];

	return crc32c(header, at) == said ? 0 : -EBADMSG;
}

/* What follows the addresses, from `at` on: records of a type, a length and a value. */
static int check_tlvs(struct str header, size_t at)
{
	while (at < header.len) {
		size_t left = header.len - at;
		size_t len = left >= 3 ? get_u16(header.p + at + 1) : 0;

		if (left < 3 || len > left - 3)
			return -EBADMSG;
		if (header.p[at] == TLV_CRC32C && (len != 4 || check_checksum(header, at + 3) < 0))
			return -EBADMSG;
		at += 3 + len;
	}
	return 0;
}

/* How many bytes the addresses of a family and transport take; -EBADMSG: not one of a stream. */
static int addresses_len(uint8_t family)
{
	switch (family) {
	case 0x11:
		return V2_INET;
	case 0x21:
		return V2_INET6;
	case 0x31:
		return V2_UNIX;
	default:
		return -EBADMSG;
	}
}

static int take_addresses(struct str header, struct proxy_header *out)
{
	uint8_t family = (uint8_t)header.p[13];
	const char *p = header.p + V2_FIXED;
	int len = addresses_len(family);

	if (len < 0 || header.len < V2_FIXED + (size_t)len)
		return -EBADMSG;
	if (family == 0x11) {
		out->peer.family = AF_INET;
		memcpy(out->peer.ip, p, 4);
		out->peer.port = (uint16_t)get_u16(p + 8);
	} else if (family == 0x21) {
		out->peer.family = AF_INET6;
		memcpy(out->peer.ip, p, 16);
		out->peer.port = (uint16_t)get_u16(p + 32);
	} else {
		out->peer.family = AF_UNIX;
	}
	out->has_peer = true;
	return len;
}

static ssize_t parse_v2(struct str in, struct proxy_header *out)
{
	size_t len;
	int addresses = 0;

	if (in.len < V2_FIXED)
		return 0;

	bool local = (uint8_t)in.p[12] == 0x20, proxied = (uint8_t)in.p[12] == 0x21;

	len = V2_FIXED + get_u16(in.p + 14);
	if (!local && !proxied)
		return -EBADMSG;
	if (len > PROXY_HEADER_MAX)
		return -EMSGSIZE;
	if (in.len < len)
		return 0;
	in = str_take(in, len);
	/* With LOCAL or no family what stands there says nothing (§2.2). */
	if (proxied && in.p[13] != 0)
		addresses = take_addresses(in, out);
	else
		return (ssize_t)len;
	if (addresses < 0 || check_tlvs(in, V2_FIXED + (size_t)addresses) < 0)
		return -EBADMSG;
	return (ssize_t)len;
}

/* ---- both ------------------------------------------------------------------------------------------------------------ */

static bool begins(struct str in, const char *with, size_t len)
{
	return memcmp(in.p, with, LS_MIN(in.len, len)) == 0;
}

ssize_t proxy_header_parse(struct str in, struct proxy_header *out)
{
	*out = (struct proxy_header){ 0 };
	if (in.len == 0)
		return 0;
	if (begins(in, v1_start, V1_START))
		return in.len < V1_START ? 0 : parse_v1(in, out);
	if (begins(in, v2_start, V2_START))
		return in.len < V2_START ? 0 : parse_v2(in, out);
	return -EBADMSG;
}
