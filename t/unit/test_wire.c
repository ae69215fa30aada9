/* t/unit/test_wire.c — messages out of a client's socket, however they were cut; ends, errors, and a budget for each turn. */
#include "net/wire.c"

#include "tap.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct loop loop;
static struct port raw = { .protocol = PROTOCOL_TCP, .package_max_length = 1000000 };
static struct port lines = { .protocol = PROTOCOL_EOF, .package_max_length = 100 };
static struct port lengths = {
	.protocol = PROTOCOL_LENGTH, .package_max_length = 100000, .package_length_type = 'n', .package_body_offset = 2
};
static int ready_events, ready_calls, still_wanted;

static int on_ready(LS_UNUSED void *ctx, int events)
{
	ready_calls++;
	ready_events = events;
	return still_wanted;
}

static struct wire *opened(const struct port *port, int type, int *peer)
{
	int fds[2];
	struct wire_opts o = { .loop = &loop, .datagram = type == SOCK_DGRAM, .port = port, .on_ready = on_ready };
	int error;

	socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds);
	*peer = fds[1];
	o.fd = fds[0];
	return wire_open(&o, &error);
}

static void closed(struct wire *w, int peer)
{
	wire_close(w);
	loop_turn(&loop, false);
	if (peer >= 0)
		close(peer);
}

static int take(struct wire *w, struct str *message)
{
	struct sock_addr from;

	*message = (struct str){ 0 };
	return wire_take(w, message, &from);
}

/* The next message is `text`. */
static bool gives(struct wire *w, const char *text)
{
	struct str message;

	return take(w, &message) == 1 && str_eq(message, str_from(text));
}

static int code_of(struct wire *w)
{
	struct str message;

	return take(w, &message);
}

static void put(int fd, const char *text)
{
	ok(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "written");
}

static void frames(void)
{
	int peer;
	struct wire *w = opened(&lines, SOCK_STREAM, &peer);

	put(peer, "one\ntwo\nth");
	ok(gives(w, "one\n") && gives(w, "two\n") && code_of(w) == -EAGAIN, "lines that came together, one at a time");
	put(peer, "ree\n");
	ok(gives(w, "three\n") && code_of(w) == -EAGAIN && !w->in,
	   "one that came in two pieces; then no buffer is kept");
	put(peer, "a\nrest");
	ok(gives(w, "a\n"), "a line");
	wire_frame(w, &raw);
	ok(gives(w, "rest"), "what is left is raw when the framing changes");
	wire_frame(w, &lengths);
	put(peer, "\1\1");
	ok(code_of(w) == -EAGAIN && w->in, "and framed anew");
	closed(w, peer);
}

static void lengths_cut_anywhere(void)
{
	static const char stream[] = "\0\3abc\0\1x\0\0\0\5hello";
	static const size_t wanted[] = { 5, 3, 2, 7 };
	int peer;
	struct wire *w = opened(&lengths, SOCK_STREAM, &peer);
	struct str message;
	size_t seen = 0;
	bool whole = true;

	for (size_t i = 0; i < sizeof stream - 1; i++) {
		whole = write(peer, stream + i, 1) == 1 && whole;
		loop_turn(&loop, false);
		if (take(w, &message) == 1)
			whole = whole && seen < LS_COUNT(wanted) && message.len == wanted[seen++];
	}
	ok(whole && seen == LS_COUNT(wanted), "byte by byte: %zu messages", seen);
	closed(w, peer);
}

static void ends(void)
{
	int peer;
	struct wire *w = opened(&lines, SOCK_STREAM, &peer);

	put(peer, "last\npart");
	ok(wire_is_whole(w), "whole");
	close(peer);
	ok(gives(w, "last\n"), "what came before the end");
	ok(code_of(w) == -ENODATA, "the end within a message is told");
	ok(code_of(w) == 0 && code_of(w) == 0 && !wire_is_whole(w), "then the end, as often as asked for");
	closed(w, -1);
	w = opened(&lines, SOCK_STREAM, &peer);
	for (int i = 0; i < 11; i++)
		put(peer, "0123456789");
	ok(code_of(w) == -EMSGSIZE && code_of(w) == -EMSGSIZE && !w->in,
	   "a message over the limit: for good, and dropped");
	closed(w, peer);
	w = opened(&lines, SOCK_STREAM, &peer);
	close(peer);
	ok(wire_put(w, LS_STR("x"), NULL) == -EPIPE && !wire_is_whole(w), "writing to nobody");
	closed(w, -1);
}

static void peeks(void)
{
	int peer;
	struct wire *w = opened(&lines, SOCK_STREAM, &peer);
	struct str bytes = { 0 };

	ok(wire_peek(w, 10, &bytes) == -EAGAIN, "nothing to peek at");
	put(peer, "ab\ncd\n");
	ok(wire_peek(w, 2, &bytes) == 1 && str_eq(bytes, LS_STR("ab")), "in the socket");
	ok(gives(w, "ab\n") && wire_peek(w, 9, &bytes) == 1 && str_eq(bytes, LS_STR("cd\n")), "in the buffer");
	ok(gives(w, "cd\n"), "it stays");
	close(peer);
	ok(wire_peek(w, 9, &bytes) == 0, "the end");
	closed(w, -1);
}

static void budget(void)
{
	int peer, calls = 0;
	struct wire *w = opened(&raw, SOCK_DGRAM, &peer);
	struct str message;

	loop.turns++;
	while (write(peer, "x", 1) == 1 && take(w, &message) == 1 && message.len == 1)
		calls++;
	ok(calls == CALLS_PER_TURN, "%d reads in a turn", calls);
	loop.turns++;
	ok(take(w, &message) == 1, "the next turn goes on");
	closed(w, peer);
	w = opened(&raw, SOCK_STREAM, &peer);
	loop.turns++;
	for (calls = 0; wire_put(w, LS_STR("y"), NULL) == 1; calls++)
		;
	ok(calls == CALLS_PER_TURN, "%d writes", calls);
	closed(w, peer);
}

static void watches(void)
{
	int peer;
	struct wire *w = opened(&raw, SOCK_STREAM, &peer);

	still_wanted = WATCH_READ;
	ready_calls = 0;
	put(peer, "x");
	loop_turn(&loop, false);
	loop_turn(&loop, false);
	ok(ready_calls == 2 && ready_events == WATCH_READ, "readable, told as long as it is wanted");
	still_wanted = 0;
	loop_turn(&loop, false);
	loop_turn(&loop, false);
	ok(ready_calls == 3, "unwanted: told once");
	wire_want(w, WATCH_WRITE);
	still_wanted = 0;
	loop_turn(&loop, false);
	loop_turn(&loop, false);
	ok(ready_calls == 4 && ready_events == WATCH_WRITE, "writable, told once");
	closed(w, peer);
}

static void files(void)
{
	FILE *f = tmpfile();
	char got[20];
	int peer;
	struct wire *w = opened(&raw, SOCK_STREAM, &peer);

	fputs("0123456789", f);
	fflush(f);
	ok(wire_put_file(w, fileno(f), 2, 5) == 5 && read(peer, got, sizeof got) == 5 && memcmp(got, "23456", 5) == 0,
	   "a part of a file");
	ok(wire_put_file(w, fileno(f), 10, 1) == -ENODATA, "behind its end");
	fclose(f);
	closed(w, peer);
}

int main(void)
{
	lines.package_eof = LS_STR("\n");
	loop_init(&loop);
	frames();
	lengths_cut_anywhere();
	ends();
	peeks();
	budget();
	watches();
	files();
	loop_fini(&loop);
	return tap_done();
}
