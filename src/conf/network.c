#include "conf/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static int parse_bits(struct str text, unsigned most, uint8_t *out)
{
	unsigned n = 0;

	if (text.len == 0 || text.len > 3)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return -EINVAL;
		n = 10 * n + (unsigned)(text.p[i] - '0');
	}
	*out = (uint8_t)n;
	return n <= most ? 0 : -EINVAL;
}

int network_parse(struct str text, struct network *out)
{
	struct network n = { 0 };
	bool has_bits = str_find(text, LS_STR("/")) >= 0;
	struct str address = str_split(&text, '/');
	char copy[INET6_ADDRSTRLEN];

	if (str_eq(address, LS_STR("unix:")) && !has_bits) {
		n.family = AF_UNIX;
		*out = n;
		return 0;
	}
	if (!str_copy(address, copy, sizeof copy))
		return -EINVAL;
	if (inet_pton(AF_INET, copy, n.ip) == 1)
		n.family = AF_INET;
	else if (inet_pton(AF_INET6, copy, n.ip) == 1)
		n.family = AF_INET6;
	else
		return -EINVAL;
	n.bits = n.family == AF_INET ? 32 : 128;
	if (has_bits && parse_bits(text, n.bits, &n.bits) < 0)
		return -EINVAL;
	*out = n;
	return 0;
}

bool network_holds(const struct network *n, const struct sock_peer *peer)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (n->family != peer->family)
		return false;
	if (memcmp(n->ip, peer->ip, whole) != 0)
		return false;
	return rest == 0 || (n->ip[whole] ^ peer->ip[whole]) >> (8 - rest) == 0;
}
