/* t/unit/test_network.c — networks, what is none, and who is in one. */
#include "conf/network.c"

#include "tap.h"

#include "base/bits.h"

static bool holds(const char *network, const char *address)
{
	struct sock_addr addr;
	struct sock_peer peer = { .family = AF_UNIX };
	struct network n;

	if (network_parse(str_from(network), &n) < 0)
		return false;
	if (strcmp(address, "unix:") != 0) {
		sock_parse(address, 1, &addr, NULL);
		peer = sock_peer_of(&addr);
	}
	return network_holds(&n, &peer);
}

int main(void)
{
	static const char *const bad[] = { "",           "10.0.0.0/33", "10.0.0/8", "::1/129",    "10.0.0.0/",
		                           "10.0.0.0/x", "unix:/8",     "host",     "10.0.0.0/-1" };
	struct network n;
	bool refused = true;

	ok(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.1"), "whole bytes");
	ok(holds("192.168.16.0/20", "192.168.31.255") && !holds("192.168.16.0/20", "192.168.32.0"), "and parts of one");
	ok(holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"), "one address");
	ok(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"), "all of a family");
	ok(holds("2001:db8::/33", "2001:db8:7fff::1") && !holds("2001:db8::/33", "2001:db8:8000::1"), "IPv6");
	ok(holds("unix:", "unix:") && !holds("unix:", "127.0.0.1") && !holds("0.0.0.0/0", "unix:"), "unix sockets");
	for (size_t i = 0; i < LS_COUNT(bad); i++)
		refused = refused && network_parse(str_from(bad[i]), &n) == -EINVAL;
	ok(refused, "nothing else");
	return tap_done();
}
