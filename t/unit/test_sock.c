/* t/unit/test_sock.c — addresses are read and shown, listeners bound or refused with a reason. */
#include "sys/sock.c"

#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>

static char dir[] = "/tmp/luaserv-test-sock-XXXXXX";
static char path[80];
static const struct sock_listen_opts plain = { .backlog = 16 };

static void parses(const char *host, const char *text)
{
	struct sock_addr addr;
	char out[SOCK_TEXT_MAX] = "refused";

	if (sock_parse(host, 80, &addr, NULL) == 0)
		sock_text(&addr, out);
	ok(strcmp(out, text) == 0, "\"%s\" is %s", host, out);
}

static void addresses(void)
{
	char lengthy[300] = "unix:/";
	struct err err = { 0 };
	struct sock_addr addr = { .len = 77 };
	char loopback[64];

	snprintf(loopback, sizeof loopback, "[fe80::1%%%u]:80", if_nametoindex("lo"));
	parses("127.0.0.1", "127.0.0.1:80");
	parses("*", "0.0.0.0:80");
	parses("", "0.0.0.0:80");
	parses("255.100.99.10", "255.100.99.10:80");
	parses("9.0.200.109", "9.0.200.109:80");
	parses("::1", "[::1]:80");
	parses("[::]", "[::]:80");
	parses("[2001:DB8::0:1]", "[2001:db8::1]:80");
	parses("fe80::1%7", "[fe80::1%7]:80");
	parses("[fe80::1%lo]", loopback);
	parses("fe80::1%nowhere", "refused");
	parses("fe80::1%0", "refused");
	parses("fe80::1%", "refused");
	parses("127.0.0.1%lo", "refused");
	parses("unix:/run/a.sock", "unix:/run/a.sock");
	parses("/run/a.sock", "unix:/run/a.sock");
	parses("localhost", "refused");
	parses("[127.0.0.1]", "refused");
	parses("256.0.0.1", "refused");
	parses("1.2.3.4:80", "refused");
	parses("unix:", "refused");
	parses("unix:relative", "refused");
	ok(sock_parse("no\nname", 1, &addr, &err) == -EINVAL && strstr(err.text, "no\\x0aname"), "%s", err.text);
	memset(lengthy + 6, 'x', PATH_CAP - 2);
	ok(sock_parse(lengthy, 1, &addr, NULL) == 0, "the longest path fits");
	memset(lengthy + 6, 'x', PATH_CAP - 1);
	ok(sock_parse(lengthy, 1, &addr, &err) == -ENAMETOOLONG, "one byte more does not");
}

static void peers(void)
{
	struct sock_addr addr;
	struct sock_peer peer;
	char out[SOCK_TEXT_MAX];

	sock_parse("::ffff:10.0.0.7", 9, &addr, NULL);
	peer = sock_peer_of(&addr);
	ok(sizeof peer == 24 && peer.family == AF_INET6 && peer.port == 9, "a peer takes 24 bytes");
	ok(strcmp(sock_peer_text(&peer, out), "10.0.0.7") == 0, "a mapped address is shown as IPv4");
	sock_parse("::1", 9, &addr, NULL);
	peer = sock_peer_of(&addr);
	ok(strcmp(sock_peer_text(&peer, out), "::1") == 0, "IPv6");
	sock_parse("fe80::2%3", 9, &addr, NULL);
	peer = sock_peer_of(&addr);
	ok(strcmp(sock_peer_text(&peer, out), "fe80::2%3") == 0, "with its interface");
	ok(sock_addr_of(&peer, &addr) == 0 && addr.v6.sin6_scope_id == 3, "and back");
	sock_parse("/x", 9, &addr, NULL);
	peer = sock_peer_of(&addr);
	ok(strcmp(sock_peer_text(&peer, out), "unix:") == 0, "unix");
	peer = (struct sock_peer){ 0 };
	ok(strcmp(sock_peer_text(&peer, out), "unknown") == 0, "unknown");
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	getsockopt(fd, level, name, &value, &len);
	return value;
}

static void listens_on(const char *host)
{
	const struct sock_listen_opts opts = {
		.backlog = 16,
		.nodelay = true,
		.keepalive = true,
		.keepidle = 33,
		.user_timeout = 4321,
		.recv_buffer = 32768,
		.send_buffer = 16384,
		.fastopen = 7,
	};
	struct sock_addr addr;
	struct sock_peer peer;
	struct err err = { 0 };
	char out[SOCK_TEXT_MAX];
	int fd, client, conn;

	sock_parse(host, 0, &addr, NULL);
	fd = sock_listen(&addr, &opts, &err);
	if (fd < 0 && fd == -EADDRNOTAVAIL) {
		ok(true, "%s # SKIP %s", host, err.text);
		return;
	}
	ok(fd >= 0 && sock_peer_of(&addr).port != 0, "port 0 became %s", sock_text(&addr, out));
	ok(sock_accept(fd, &peer) == -EAGAIN, "nobody yet");
	client = sock_connect(&addr);
	conn = sock_accept(fd, &peer);
	ok(client >= 0 && conn >= 0, "a client is accepted");
	ok((fcntl(conn, F_GETFL) & O_NONBLOCK) && (fcntl(conn, F_GETFD) & FD_CLOEXEC), "non-blocking, close-on-exec");
	ok(option(conn, IPPROTO_TCP, TCP_NODELAY) && option(conn, IPPROTO_TCP, TCP_KEEPIDLE) == 33,
	   "options inherited");
	ok(option(conn, IPPROTO_TCP, TCP_USER_TIMEOUT) == 4321 && option(fd, IPPROTO_TCP, TCP_FASTOPEN) == 7,
	   "those of the kernel's patience");
	/* The kernel doubles what it is asked for. */
	ok(option(conn, SOL_SOCKET, SO_RCVBUF) == 65536 && option(conn, SOL_SOCKET, SO_SNDBUF) == 32768,
	   "buffers are sized");
	ok(strcmp(sock_peer_text(&peer, out), host) == 0 && peer.port, "its peer is %s port %u", out, peer.port);
	ok(sock_set_nodelay(conn, false) == 0 && !option(conn, IPPROTO_TCP, TCP_NODELAY), "an option is turned off");
	ok(sock_listen(&addr, &opts, &err) == -EADDRINUSE, "%s", err.text);
	fd_close(&client);
	fd_close(&conn);
	fd_close(&fd);
	ok(sock_connect(&addr) == -ECONNREFUSED, "a closed listener refuses");
}

static void serves_both_families(void)
{
	struct sock_listen_opts opts = { .backlog = 16 };
	struct sock_addr addr, v4;
	struct sock_peer peer;
	char out[SOCK_TEXT_MAX];
	int fd, client, conn;

	for (int only = 0; only < 2; only++) {
		opts.ipv6_only = only;
		sock_parse("::", 0, &addr, NULL);
		fd = sock_listen(&addr, &opts, NULL);
		if (fd < 0) {
			ok(true, "both families # SKIP this machine has no IPv6");
			return;
		}
		sock_parse("127.0.0.1", sock_peer_of(&addr).port, &v4, NULL);
		client = sock_connect(&v4);
		if (only) {
			ok(client == -ECONNREFUSED, "a port for IPv6 alone refuses IPv4");
		} else {
			conn = sock_accept(fd, &peer);
			ok(conn >= 0 && strcmp(sock_peer_text(&peer, out), "127.0.0.1") == 0,
			   "a port on :: takes IPv4 and tells it as such");
			fd_close(&conn);
		}
		fd_close(&client);
		fd_close(&fd);
	}
}

/* The first byte is on its way or not: only then is somebody there. */
static void defers(void)
{
	const struct sock_listen_opts opts = { .backlog = 16, .defer_accept = 30 };
	struct sock_addr addr;
	struct sock_peer peer;
	int fd, client, conn;

	sock_parse("127.0.0.1", 0, &addr, NULL);
	fd = sock_listen(&addr, &opts, NULL);
	client = sock_connect(&addr);
	ok(sock_accept(fd, &peer) == -EAGAIN, "a connection without data is not accepted yet");
	ok(write(client, "x", 1) == 1, "a byte");
	poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 5000);
	conn = sock_accept(fd, &peer);
	ok(conn >= 0, "makes it accepted");
	fd_close(&conn);
	fd_close(&client);
	fd_close(&fd);
}

static void shares_ports(void)
{
	const struct sock_listen_opts opts = { .backlog = 16, .reuse_port = true };
	struct sock_addr addr;
	int a, b;

	sock_parse("127.0.0.1", 0, &addr, NULL);
	a = sock_listen(&addr, &opts, NULL);
	b = sock_listen(&addr, &opts, NULL);
	ok(a >= 0 && b >= 0, "with reuse_port two listen on one port");
	fd_close(&a);
	fd_close(&b);
}

static void unix_sockets(void)
{
	struct sock_addr addr;
	struct sock_peer peer;
	struct err err = { 0 };
	int fd, client, conn;

	sock_parse(path, 0, &addr, NULL);
	fd = sock_listen(&addr, &plain, &err);
	client = sock_connect_unix(path);
	conn = sock_accept(fd, &peer);
	ok(fd >= 0 && client >= 0 && conn >= 0 && peer.family == AF_UNIX, "a unix client is accepted");
	ok(sock_listen(&addr, &plain, &err) == -EADDRINUSE, "%s", err.text);
	fd_close(&conn);
	fd_close(&client);
	fd_close(&fd);
	fd = sock_listen(&addr, &plain, &err);
	ok(fd >= 0, "the path of a dead server is taken over");
	fd_close(&fd);
	unlink(path);
	ok(sock_connect_unix(path) == -ENOENT, "nobody there");

	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(&fd);
	ok(sock_listen(&addr, &plain, &err) == -ENOTSOCK && access(path, F_OK) == 0, "%s", err.text);
	unlink(path);
}

/* A full backlog does not answer, yet somebody is there. */
static void busy_unix_sockets(void)
{
	struct sock_listen_opts tiny = { .backlog = 0 };
	struct sock_addr addr;
	int fd, client;

	sock_parse(path, 0, &addr, NULL);
	fd = sock_listen(&addr, &tiny, NULL);
	client = sock_connect(&addr);
	ok(sock_listen(&addr, &plain, NULL) == -EADDRINUSE, "a busy server keeps its path");
	fd_close(&client);
	fd_close(&fd);
	unlink(path);
}

static void refusals(void)
{
	struct sock_addr addr;
	struct err err = { 0 };

	sock_parse("192.0.2.1", 0, &addr, NULL);
	ok(sock_listen(&addr, &plain, &err) == -EADDRNOTAVAIL, "%s", err.text);
	sock_parse("/nonexistent/x.sock", 0, &addr, NULL);
	ok(sock_listen(&addr, &plain, &err) == -ENOENT, "%s", err.text);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/s", dir);
	addresses();
	peers();
	listens_on("127.0.0.1");
	listens_on("::1");
	serves_both_families();
	defers();
	shares_ports();
	unix_sockets();
	busy_unix_sockets();
	refusals();
	rmdir(dir);
	return tap_done();
}
