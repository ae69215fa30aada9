/* t/unit/test_conn.c — connections over real sockets: reading, writing, pauses, deadlines, half-close and every kind of end.
 * The worker side is a sink of the test. */
#include "net/conn.c"

#include "tap.h"

#include "base/mem.h"
#include "proto/http_head.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_CAP = 16384, TEXT = 1 << 22 };

static struct loop loop;
static struct settings settings;
static struct port *port;
static struct board_reactor board;

static struct {
	char text[TEXT]; /* DATA and BODY payloads; "R", "S", "A" for REQUEST, SHUT, ABORT */
	size_t len;
	bool refuse;     /* the worker has no room */
	bool no_reading; /* may_read says so already */
	int error;
	unsigned ends, frees, sents, streams_done;
	unsigned by, reason;
} worker;

static struct list stalled;

static void note(const void *p, size_t len)
{
	assert(worker.len + len < TEXT);
	memcpy(worker.text + worker.len, p, len);
	worker.len += len;
	worker.text[worker.len] = '\0';
}

static int emit(struct proto_conn *pc, struct frame *f, const struct str *parts, int n, struct stream *s)
{
	struct conn *c = LS_CONTAINER_OF(pc, struct conn, pc);

	(void)s;
	if (f->type == FRAME_REQUEST || f->type == FRAME_ABORT || f->type == FRAME_SHUT)
		note(f->type == FRAME_REQUEST ? "R" : f->type == FRAME_ABORT ? "A" : "S", 1);
	if (f->type == FRAME_ABORT || f->type == FRAME_SHUT)
		return 0;
	if (worker.error)
		return worker.error;
	if (worker.refuse) {
		worker.len -= f->type == FRAME_REQUEST;
		if (!list_linked(&c->stalled))
			list_append(&stalled, &c->stalled);
		return -EAGAIN;
	}
	for (int i = 0; i < n && f->type != FRAME_REQUEST; i++)
		note(parts[i].p, parts[i].len);
	return 0;
}

static void on_stream_done(struct proto_conn *pc, struct stream *s)
{
	(void)pc;
	(void)s;
	worker.streams_done++;
}

static const struct sink sink = { .emit = emit, .stream_done = on_stream_done };

static bool may_read(struct conn *c)
{
	if (worker.no_reading)
		list_append(&stalled, &c->stalled);
	return !worker.no_reading;
}

static void on_sent(struct conn *c)
{
	(void)c;
	worker.sents++;
}

static void on_end(struct conn *c, enum close_by by)
{
	worker.ends++;
	worker.by = by;
	worker.reason = c->pc.close_reason;
}

static void on_free(struct conn *c)
{
	worker.frees++;
	free(c);
}

static struct conn_owner owner = {
	.loop = &loop,
	.read_cap = READ_CAP,
	.board = &board,
	.may_read = may_read,
	.on_sent = on_sent,
	.on_end = on_end,
	.on_free = on_free,
};

/* ---- a connection and its peer ------------------------------------------------------------------------------------------ */

static struct conn *conn;
static int peer;

static void open_over(int fds[2], enum settings_protocol protocol)
{
	static const struct sock_peer nobody;

	memset(&worker, 0, offsetof(typeof(worker), ends));
	worker.ends = worker.frees = worker.sents = worker.streams_done = 0;
	worker.by = worker.reason = 99;
	port->protocol = (int)protocol;
	peer = fds[1];
	conn = xzalloc(sizeof *conn);
	conn_open(conn, &owner, fds[0], &settings, port, &nobody, &sink);
	conn->pc.id = 1;
	conn_start(conn);
}

static void open_conn(enum settings_protocol protocol)
{
	int fds[2];

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
	open_over(fds, protocol);
}

/* Over TCP, where a close with unread bytes is a reset. */
static void open_tcp(enum settings_protocol protocol)
{
	struct sock_listen_opts opts = { .backlog = 8 };
	struct sock_addr address;
	struct sock_peer who;
	struct err err;
	int fds[2], listener;

	sock_parse("127.0.0.1", 0, &address, &err);
	listener = sock_listen(&address, &opts, &err);
	fds[1] = sock_connect(&address);
	while ((fds[0] = sock_accept(listener, &who)) == -EAGAIN)
		;
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	close(listener);
	open_over(fds, protocol);
}

/* A turn as the reactor does it. */
static void turn(void)
{
	struct list now;

	loop_turn(&loop, false);
	list_init(&now);
	list_move_all(&now, &owner.dirty);
	for (struct list *it; (it = list_first(&now));)
		conn_flush(LS_CONTAINER_OF(it, struct conn, dirty));
}

static void turns(int n)
{
	while (n--)
		turn();
}

static void close_conn(void)
{
	if (worker.frees == 0)
		conn_kill(conn, CLOSE_BY_SERVER, CLOSE_NORMAL);
	close(peer);
	turns(2);
	worker.refuse = worker.no_reading = false;
}

static void say(const char *text)
{
	(void)!send(peer, text, strlen(text), MSG_NOSIGNAL);
}

static void answer(const char *text)
{
	chain_append(&conn->pc.out, str_from(text));
	conn_touch(conn);
}

/* What the peer can read now; "EOF" behind it if that was the end, "RST" if it was torn. */
static const char *heard(void)
{
	static char text[TEXT];
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(peer, text + len, sizeof text - 8 - len, 0);

		if (n > 0) {
			len += (size_t)n;
			continue;
		}
		strcpy(text + len, n == 0 ? "EOF" : errno == EAGAIN ? "" : "RST");
		return text;
	}
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Turns until the connection has ended for the worker; how long that took. */
static uint64_t until_end(uint64_t limit_ms)
{
	uint64_t began = now();

	while (worker.ends == 0 && now() - began < limit_ms)
		turn();
	return now() - began;
}

/* An answer of HTTP to the oldest request. */
static void respond(const char *body, bool end)
{
	struct {
		struct http_head head;
		char body[256];
	} image = { .head = { .status = 200 } };
	struct frame f = {
		.type = FRAME_RESPONSE,
		.stream = LS_CONTAINER_OF(conn->pc.streams.next, struct stream, on_conn)->number,
		.arg = sizeof image.head,
		.value = UINT64_MAX,
		.flags = end ? FRAME_END : 0,
	};

	image.head.size = sizeof image.head;
	snprintf(image.body, sizeof image.body, "%s", body);
	conn->pc.proto->output(&conn->pc, &f, str_make(&image, sizeof image.head + strlen(body)),
	                       LS_CONTAINER_OF(conn->pc.streams.next, struct stream, on_conn));
	conn_touch(conn);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST_HEAD "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"

/* ---- reading and writing --------------------------------------------------------------------------------------------------- */

static void carries_bytes_both_ways(void)
{
	open_conn(PROTOCOL_TCP);
	say("hello");
	turn();
	ok(strcmp(worker.text, "hello") == 0, "what the peer says is handed on");
	answer("good ");
	answer("day");
	ok(strcmp(heard(), "") == 0, "answers wait for the end of the turn");
	turn();
	ok(strcmp(heard(), "good day") == 0, "and leave together");
	ok(conn->bytes_in == 5 && conn->bytes_out == 8 && worker.sents == 1, "bytes are counted");
	close_conn();
	ok(worker.ends == 1 && worker.frees == 1, "one end");
}

static void keeps_what_is_not_whole(void)
{
	open_conn(PROTOCOL_EOF);
	say("one\r\ntw");
	turn();
	ok(strcmp(worker.text, "one\r\n") == 0 && conn->in, "a message that is not whole is kept");
	say("o\r\n");
	turn();
	ok(strcmp(worker.text, "one\r\ntwo\r\n") == 0 && !conn->in, "until it is");
	close_conn();
}

static void stalls_and_resumes(void)
{
	open_conn(PROTOCOL_EOF);
	worker.refuse = true;
	say("one\r\ntwo\r\n");
	turns(3);
	ok(worker.len == 0 && list_linked(&conn->stalled), "a worker without room stalls the connection");
	say("three\r\n");
	turns(3);
	ok(conn->bytes_in == 10, "which is not read meanwhile");
	worker.refuse = false;
	list_del(&conn->stalled);
	conn_resume(conn);
	turns(2);
	ok(strcmp(worker.text, "one\r\ntwo\r\nthree\r\n") == 0, "with room all follows in order");
	worker.no_reading = true;
	say("four\r\n");
	turns(2);
	ok(conn->bytes_in == 17, "nor is one read whose worker is known to be full");
	worker.no_reading = false;
	list_del(&conn->stalled);
	conn_resume(conn);
	turns(2);
	ok(strstr(worker.text, "four\r\n") != NULL, "then it is");
	close_conn();
}

static void pauses_for_the_app(void)
{
	open_conn(PROTOCOL_TCP);
	conn->app_paused = true;
	conn_resume(conn);
	say("hello");
	turns(3);
	ok(worker.len == 0 && conn->bytes_in == 0, "a paused connection is not read");
	conn->app_paused = false;
	conn_resume(conn);
	turns(2);
	ok(strcmp(worker.text, "hello") == 0, "a resumed one is");
	close_conn();
}

static void writes_as_the_peer_reads(void)
{
	static char big[1 << 20];
	size_t got = 0;

	memset(big, 'x', sizeof big - 1);
	open_conn(PROTOCOL_TCP);
	answer(big);
	answer(big);
	turns(2);
	ok(conn->write_blocked && conn->watch.events & WATCH_WRITE, "a full socket is waited for");
	for (int i = 0; i < 1000 && got < 2 * sizeof big - 2; i++) {
		got += strlen(heard());
		turn();
	}
	ok(got == 2 * sizeof big - 2 && !conn->write_blocked && !(conn->watch.events & WATCH_WRITE),
	   "until all has left");
	ok(conn->bytes_out == got, "and is counted");
	close_conn();
}

static void sends_files_between_bytes(void)
{
	FILE *file = tmpfile();
	uint64_t turns_before = loop.turns;
	size_t got = 0;
	char first[12] = "";

	for (int i = 0; i < 50000; i++)
		fputs("0123456789", file);
	fflush(file);
	open_conn(PROTOCOL_TCP);
	answer("<");
	chain_append_file(&conn->pc.out, dup(fileno(file)), 5, 400000);
	answer(">");
	turn();
	snprintf(first, sizeof first, "%s", heard());
	ok(strcmp(first, "<5678901234") == 0 && loop.turns == turns_before + 1,
	   "bytes and the file behind them in one turn");
	for (int i = 0; i < 1000 && !chain_empty(&conn->pc.out); i++) {
		turn();
		got += strlen(heard());
	}
	ok(conn->bytes_out == 400002 && chain_empty(&conn->pc.out) && got > 0, "bytes, a part of a file, bytes");

	chain_append_file(&conn->pc.out, dup(fileno(file)), 0, 600000);
	conn_touch(conn);
	for (int i = 0; i < 200 && worker.ends == 0; i++) {
		turn();
		heard();
	}
	ok(worker.ends == 1 && worker.reason == CLOSE_BUFFER_FULL,
	   "a file that is shorter than promised ends the connection");
	close_conn();
	fclose(file);
}

/* ---- deadlines ---------------------------------------------------------------------------------------------------------------- */

static void drops_who_does_not_read(void)
{
	static char big[1 << 20];
	uint64_t took;

	memset(big, 'x', sizeof big - 1);
	port->write_timeout = 100;
	open_conn(PROTOCOL_TCP);
	answer(big);
	took = until_end(3000);
	ok(worker.reason == CLOSE_TIMEOUT_SEND && worker.by == CLOSE_BY_LIMIT && took >= 95,
	   "after write_timeout (%llu ms)", (unsigned long long)took);
	close_conn();

	open_conn(PROTOCOL_TCP);
	answer(big);
	answer(big);
	answer(big);
	for (uint64_t began = now(); now() - began < 150;) {
		char some[16000];

		turn();
		(void)!recv(peer, some, sizeof some, 0);
		(void)!poll(NULL, 0, 1);
	}
	ok(worker.ends == 0, "who reads slowly is not dropped");
	close_conn();
	port->write_timeout = 60000;
}

static void drops_idle_connections(void)
{
	uint64_t last = 0;

	port->max_idle_time = 80;
	open_conn(PROTOCOL_TCP);
	for (int i = 0; i < 6; i++) {
		say("x");
		for (last = now(); now() - last < 20;)
			turn();
	}
	ok(worker.ends == 0, "a raw connection that says something now and then stays");
	until_end(3000);
	ok(worker.reason == CLOSE_TIMEOUT_IDLE && worker.by == CLOSE_BY_LIMIT && now() - last >= 75,
	   "a silent one is closed");
	turns(2);
	ok(strstr(heard(), "EOF") != NULL, "in order");
	close_conn();
	port->max_idle_time = 0;
}

static void times_http_phases(void)
{
	uint64_t took;

	port->http_header_timeout = 60;
	port->http_keepalive_timeout = 120;
	port->http_body_timeout = 50;
	open_conn(PROTOCOL_HTTP);
	took = until_end(3000);
	ok(worker.reason == CLOSE_TIMEOUT_IDLE && took >= 55 && took < 110, "a client that never says anything");
	close_conn();

	open_conn(PROTOCOL_HTTP);
	for (uint64_t began = now(); worker.ends == 0 && now() - began < 3000; took = now() - began) {
		say("G");
		for (uint64_t t = now(); now() - t < 10;)
			turn();
	}
	ok(worker.reason == CLOSE_TIMEOUT_HEAD && took < 500 && strncmp(heard(), "HTTP/1.1 408 ", 13) == 0,
	   "a head that comes byte by byte is timed from its first: 408");
	close_conn();

	open_conn(PROTOCOL_HTTP);
	say(POST_HEAD "123");
	until_end(3000);
	ok(worker.reason == CLOSE_TIMEOUT_BODY && strncmp(heard(), "HTTP/1.1 408 ", 13) == 0 &&
	           strchr(worker.text, 'A'),
	   "a body that stops: 408, and the worker hears of it");
	close_conn();

	open_conn(PROTOCOL_HTTP);
	say(GET);
	turns(2);
	for (uint64_t began = now(); now() - began < 200;)
		turn();
	ok(worker.ends == 0, "while the worker thinks, nothing is timed");
	respond("hi", true);
	turns(2);
	took = until_end(3000);
	ok(worker.reason == CLOSE_TIMEOUT_IDLE && took >= 100, "then keep-alive is (%llu ms)",
	   (unsigned long long)took);
	close_conn();
	port->http_header_timeout = port->http_keepalive_timeout = port->http_body_timeout = 60000;
}

/* ---- ends ---------------------------------------------------------------------------------------------------------------------- */

static void answers_after_half_close(void)
{
	open_conn(PROTOCOL_HTTP);
	say(GET);
	shutdown(peer, SHUT_WR);
	turns(5);
	ok(worker.ends == 0 && conn->peer_done && strcmp(worker.text, "R") == 0,
	   "a client that shuts its side may wait");
	respond("hi", true);
	turns(3);
	ok(strstr(heard(), "\r\n\r\nhiEOF") && worker.ends == 1 && worker.by == CLOSE_BY_PEER,
	   "it gets its answer, then the end");
	close_conn();

	open_conn(PROTOCOL_HTTP);
	say("GET / HT");
	shutdown(peer, SHUT_WR);
	turns(4);
	ok(strncmp(heard(), "HTTP/1.1 400 ", 13) == 0 && worker.ends == 1, "half a request is refused");
	close_conn();

	open_conn(PROTOCOL_EOF);
	say("one\r\ntw");
	shutdown(peer, SHUT_WR);
	turns(4);
	ok(strcmp(worker.text, "one\r\nS") == 0 && worker.ends == 0, "a raw one is handed on, the worker told");
	answer("got one");
	conn_finish(conn, CLOSE_NORMAL);
	turns(2);
	ok(strcmp(heard(), "got oneEOF") == 0 && worker.ends == 1 && worker.by == CLOSE_BY_PEER,
	   "and answers before it closes");
	close_conn();
}

/* What a stalled connection still holds comes before its end. */
static void stalls_before_the_end(void)
{
	open_conn(PROTOCOL_EOF);
	worker.refuse = true;
	say("one\r\ntwo\r\n");
	shutdown(peer, SHUT_WR);
	turns(4);
	ok(worker.len == 0 && !conn->peer_done, "the end behind a stall is not read");
	worker.refuse = false;
	list_del(&conn->stalled);
	conn_resume(conn);
	turns(3);
	ok(strcmp(worker.text, "one\r\ntwo\r\nS") == 0, "it comes after what was said before it");
	close_conn();
}

static void ends_with_the_peer(void)
{
	struct linger hard = { .l_onoff = 1 };

	open_tcp(PROTOCOL_TCP);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(peer);
	peer = -1;
	until_end(2000);
	ok(worker.ends == 1 && worker.by == CLOSE_BY_PEER && worker.reason == CLOSE_PEER_RESET,
	   "a reset is told as one");
	close_conn();

	open_tcp(PROTOCOL_TCP);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	close(peer);
	peer = -1;
	(void)!poll(NULL, 0, 5);
	answer("hello?");
	turns(1);
	until_end(2000);
	ok(worker.ends == 1 && worker.reason == CLOSE_PEER_RESET, "also when it shows at a write");
	close_conn();
}

static void refused_input_ends_it(void)
{
	open_conn(PROTOCOL_EOF);
	port->package_max_length = 10;
	say("one\r\n01234567890123456789");
	turns(3);
	ok(strcmp(worker.text, "one\r\n") == 0 && worker.ends == 1 && worker.by == CLOSE_BY_LIMIT &&
	           worker.reason == CLOSE_TOO_LARGE,
	   "a message that is too long");
	port->package_max_length = 2 << 20;
	close_conn();

	open_conn(PROTOCOL_HTTP);
	say("\x16\x03\x01 TLS");
	turns(3);
	ok(worker.by == CLOSE_BY_ERROR && worker.reason == CLOSE_MALFORMED &&
	           strncmp(heard(), "HTTP/1.1 400 ", 13) == 0,
	   "bytes that are no request: 400");
	close_conn();

	open_conn(PROTOCOL_EOF);
	worker.error = -ENOBUFS;
	say("one\r\n");
	turns(3);
	ok(worker.ends == 1, "and a worker that takes nothing any more");
	close_conn();
	worker.error = 0;
}

/* The answer must arrive although the peer goes on sending what nobody reads: closing at once would reset it away. */
static void lingers_for_the_answer(void)
{
	char junk[65536];
	uint64_t began;

	memset(junk, 'x', sizeof junk);
	port->http_body_max_size = 0;
	port->package_max_length = 1000;
	open_tcp(PROTOCOL_HTTP);
	say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		(void)!send(peer, junk, sizeof junk, MSG_NOSIGNAL);
		turn();
	}
	ok(worker.ends == 1 && worker.frees == 0 && !list_empty(&owner.lingering), "an early 413 lingers");
	ok(strncmp(heard(), "HTTP/1.1 413 ", 13) == 0 && strstr(heard(), "EOF"), "its answer and its end arrive");
	close(peer);
	for (began = now(); worker.frees == 0 && now() - began < 2000;)
		turn();
	ok(worker.frees == 1 && worker.ends == 1 && now() - began < 1000, "it ends with the peer");
	peer = -1;
	close_conn();

	port->linger_time = 50;
	open_tcp(PROTOCOL_HTTP);
	say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
	turns(3);
	for (began = now(); worker.frees == 0 && now() - began < 2000;)
		turn();
	ok(worker.frees == 1 && now() - began >= 40, "or after linger_time");
	close_conn();
	port->linger_time = 2000;
	port->package_max_length = 2 << 20;
}

static void closes_for_the_app(void)
{
	open_conn(PROTOCOL_TCP);
	answer("bye");
	conn_finish(conn, CLOSE_BY_APP);
	conn_finish(conn, CLOSE_SHUTDOWN);
	say("more");
	turns(3);
	ok(strcmp(heard(), "byeEOF") == 0 && worker.ends == 1 && worker.by == CLOSE_BY_SERVER &&
	           worker.reason == CLOSE_BY_APP,
	   "what is queued leaves first; the first reason counts");
	ok(worker.len == 0, "nothing more is read");
	close_conn();

	open_conn(PROTOCOL_HTTP);
	say(GET POST_HEAD "12345");
	turns(2);
	conn_kill(conn, CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	conn_kill(conn, CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	conn_drop(conn);
	turns(2);
	ok(worker.ends == 1 && worker.frees == 1 && worker.streams_done == 1, "killing twice is once");
	close_conn();
}

static void hears_of_output_that_is_none(void)
{
	open_conn(PROTOCOL_HTTP);
	say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
	turns(2);
	respond("", false);
	turns(2);
	unsigned before = worker.sents;

	conn_touch(conn); /* a part of the body, which a HEAD has not */
	turns(1);
	ok(worker.sents == before + 1, "the owner may acknowledge what never had to leave");
	close_conn();
}

/* ---- all at random ---------------------------------------------------------------------------------------------------------------- */

static uint32_t random_state = 5;

static unsigned some(unsigned below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % below;
}

static void random_step(void)
{
	static char big[300000];

	memset(big, 'y', sizeof big - 1);
	switch (some(14)) {
	case 0:
		say(GET);
		break;
	case 1:
		say(POST_HEAD "0123456789");
		break;
	case 2:
		say("one\r\nGET");
		break;
	case 3:
		worker.refuse = some(2);
		break;
	case 4:
		worker.no_reading = some(2);
		break;
	case 5:
		conn->app_paused = some(2);
		conn_resume(conn);
		break;
	case 6:
		some(2) ? answer(big) : answer("small");
		break;
	case 7:
		heard();
		break;
	case 8:
		shutdown(peer, some(2) ? SHUT_WR : SHUT_RDWR);
		break;
	case 9:
		if (!list_empty(&conn->pc.streams))
			respond("hi", some(2));
		break;
	case 10:
		conn_finish(conn, CLOSE_BY_APP);
		break;
	case 11:
		if (some(4) == 0)
			conn_kill(conn, CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
		break;
	default:
		for (struct list *it; !worker.refuse && !worker.no_reading && (it = list_shift(&stalled));)
			conn_resume(LS_CONTAINER_OF(it, struct conn, stalled));
		break;
	}
}

static void survives_anything(void)
{
	unsigned wrong = 0;

	port->linger_time = 5;
	for (unsigned round = 0; round < 3000; round++) {
		open_conn((enum settings_protocol)some(4));
		for (unsigned step = 0; step < 30 && worker.ends == 0; step++) {
			random_step();
			if (some(3) == 0 && worker.frees == 0)
				turn();
		}
		heard();
		if (worker.ends == 0)
			conn_kill(conn, CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
		close(peer);
		for (uint64_t began = now(); worker.frees == 0 && now() - began < 1000;)
			turn();
		wrong += worker.ends != 1 || worker.frees != 1;
		wrong += !list_empty(&stalled) || !list_empty(&owner.dirty) || !list_empty(&owner.lingering);
		worker.refuse = worker.no_reading = false;
	}
	ok(wrong == 0, "3000 connections with 30 random events each end once, and nothing is left of them");
}

int main(void)
{
	struct err err;

	settings_init(&settings);
	port = settings_add_port(&settings, "127.0.0.1", 0, PORT_TCP, &err);
	settings_set(&settings, port, "package_eof", LS_STR("\r\n"), LAYER_SCRIPT, &err);
	port->package_body_offset = 4;
	loop_init(&loop);
	list_init(&stalled);
	list_init(&owner.dirty);
	list_init(&owner.lingering);
	owner.read_buf = xalloc(READ_CAP);
	carries_bytes_both_ways();
	keeps_what_is_not_whole();
	stalls_and_resumes();
	pauses_for_the_app();
	writes_as_the_peer_reads();
	sends_files_between_bytes();
	drops_who_does_not_read();
	drops_idle_connections();
	times_http_phases();
	answers_after_half_close();
	stalls_before_the_end();
	ends_with_the_peer();
	refused_input_ends_it();
	lingers_for_the_answer();
	closes_for_the_app();
	hears_of_output_that_is_none();
	survives_anything();
	free(owner.read_buf);
	loop_fini(&loop);
	proto_trim();
	chain_trim();
	buf_trim();
	settings_fini(&settings);
	return tap_done();
}
